//! The codes of errors on files, which are preview 2's own.

use rustix::io::Errno;
use wasmtime::component::{ComponentType, Lift, Lower};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(super) enum ErrorCode {
    #[component(name = "access")]
    Access,
    #[component(name = "would-block")]
    WouldBlock,
    #[component(name = "already")]
    Already,
    #[component(name = "bad-descriptor")]
    BadDescriptor,
    #[component(name = "busy")]
    Busy,
    #[component(name = "deadlock")]
    Deadlock,
    #[component(name = "quota")]
    Quota,
    #[component(name = "exist")]
    Exist,
    #[component(name = "file-too-large")]
    FileTooLarge,
    #[component(name = "illegal-byte-sequence")]
    IllegalByteSequence,
    #[component(name = "in-progress")]
    InProgress,
    #[component(name = "interrupted")]
    Interrupted,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "io")]
    Io,
    #[component(name = "is-directory")]
    IsDirectory,
    #[component(name = "loop")]
    Loop,
    #[component(name = "too-many-links")]
    TooManyLinks,
    #[component(name = "message-size")]
    MessageSize,
    #[component(name = "name-too-long")]
    NameTooLong,
    #[component(name = "no-device")]
    NoDevice,
    #[component(name = "no-entry")]
    NoEntry,
    #[component(name = "no-lock")]
    NoLock,
    #[component(name = "insufficient-memory")]
    InsufficientMemory,
    #[component(name = "insufficient-space")]
    InsufficientSpace,
    #[component(name = "not-directory")]
    NotDirectory,
    #[component(name = "not-empty")]
    NotEmpty,
    #[component(name = "not-recoverable")]
    NotRecoverable,
    #[component(name = "unsupported")]
    Unsupported,
    #[component(name = "no-tty")]
    NoTty,
    #[component(name = "no-such-device")]
    NoSuchDevice,
    #[component(name = "overflow")]
    Overflow,
    #[component(name = "not-permitted")]
    NotPermitted,
    #[component(name = "pipe")]
    Pipe,
    #[component(name = "read-only")]
    ReadOnly,
    #[component(name = "invalid-seek")]
    InvalidSeek,
    #[component(name = "text-file-busy")]
    TextFileBusy,
    #[component(name = "cross-device")]
    CrossDevice,
}

/// All of them in their order, each with the system's word for it.
const ALL: [(ErrorCode, Errno); 37] = [
    (ErrorCode::Access, Errno::ACCESS),
    (ErrorCode::WouldBlock, Errno::AGAIN),
    (ErrorCode::Already, Errno::ALREADY),
    (ErrorCode::BadDescriptor, Errno::BADF),
    (ErrorCode::Busy, Errno::BUSY),
    (ErrorCode::Deadlock, Errno::DEADLK),
    (ErrorCode::Quota, Errno::DQUOT),
    (ErrorCode::Exist, Errno::EXIST),
    (ErrorCode::FileTooLarge, Errno::FBIG),
    (ErrorCode::IllegalByteSequence, Errno::ILSEQ),
    (ErrorCode::InProgress, Errno::INPROGRESS),
    (ErrorCode::Interrupted, Errno::INTR),
    (ErrorCode::Invalid, Errno::INVAL),
    (ErrorCode::Io, Errno::IO),
    (ErrorCode::IsDirectory, Errno::ISDIR),
    (ErrorCode::Loop, Errno::LOOP),
    (ErrorCode::TooManyLinks, Errno::MLINK),
    (ErrorCode::MessageSize, Errno::MSGSIZE),
    (ErrorCode::NameTooLong, Errno::NAMETOOLONG),
    (ErrorCode::NoDevice, Errno::NODEV),
    (ErrorCode::NoEntry, Errno::NOENT),
    (ErrorCode::NoLock, Errno::NOLCK),
    (ErrorCode::InsufficientMemory, Errno::NOMEM),
    (ErrorCode::InsufficientSpace, Errno::NOSPC),
    (ErrorCode::NotDirectory, Errno::NOTDIR),
    (ErrorCode::NotEmpty, Errno::NOTEMPTY),
    (ErrorCode::NotRecoverable, Errno::NOTRECOVERABLE),
    (ErrorCode::Unsupported, Errno::NOTSUP),
    (ErrorCode::NoTty, Errno::NOTTY),
    (ErrorCode::NoSuchDevice, Errno::NXIO),
    (ErrorCode::Overflow, Errno::OVERFLOW),
    (ErrorCode::NotPermitted, Errno::PERM),
    (ErrorCode::Pipe, Errno::PIPE),
    (ErrorCode::ReadOnly, Errno::ROFS),
    (ErrorCode::InvalidSeek, Errno::SPIPE),
    (ErrorCode::TextFileBusy, Errno::TXTBSY),
    (ErrorCode::CrossDevice, Errno::XDEV),
];

impl ErrorCode {
    /// That of what the system said; `io` for what preview 2 has no word for.
    pub(super) fn of(error: Errno) -> Self {
        match error {
            Errno::NOSYS => Self::Unsupported,
            // It knows no bound on what is open. This is the one of its words that says that there is too little of
            // something which is neither the disk nor the guest's to repair.
            Errno::MFILE | Errno::NFILE => Self::InsufficientMemory,
            _ => ALL
                .iter()
                .find(|(_, known)| *known == error)
                .map_or(Self::Io, |(code, _)| *code),
        }
    }

    /// The number under which a failed stream remembers it.
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    /// The one that has this number.
    pub(super) fn numbered(number: u32) -> Option<Self> {
        at(number).map(|(code, _)| *code)
    }
}

fn at(number: u32) -> Option<&'static (ErrorCode, Errno)> {
    usize::try_from(number).ok().and_then(|at| ALL.get(at))
}

/// What the one that has this number means.
pub(super) fn words_of(number: u32) -> String {
    at(number).map_or_else(String::new, |(_, error)| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_number_and_is_found_by_it_and_by_the_systems_word() {
        for (number, (code, error)) in (0..).zip(ALL) {
            assert_eq!(code.number(), number);
            assert_eq!(ErrorCode::numbered(number), Some(code));
            assert_eq!(ErrorCode::of(error), code);
        }
        assert_eq!(ErrorCode::numbered(37), None);
        assert_eq!(words_of(37), "");
        assert!(words_of(ErrorCode::NoEntry.number()).contains("No such file"));
    }

    #[test]
    fn what_it_has_no_word_for_is_an_error_of_input_or_output() {
        assert_eq!(ErrorCode::of(Errno::UCLEAN), ErrorCode::Io);
        assert_eq!(ErrorCode::of(Errno::MFILE), ErrorCode::InsufficientMemory);
        assert_eq!(ErrorCode::of(Errno::NOSYS), ErrorCode::Unsupported);
    }
}
