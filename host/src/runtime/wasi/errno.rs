//! The numbers of errors, which are WASI's own.

use rustix::io::Errno;

pub(super) const SUCCESS: i32 = 0;
pub(super) const BADF: i32 = 8;
pub(super) const INVAL: i32 = 28;
pub(super) const IO: i32 = 29;
pub(super) const NOSYS: i32 = 52;
pub(super) const NOTSOCK: i32 = 57;
pub(super) const SPIPE: i32 = 70;

/// The system's errors in the order of WASI's numbers, which begin with 1. Its last one, `notcapable` (76), is no
/// system's, and no call here ends so.
const IN_ORDER: [Errno; 75] = [
    Errno::TOOBIG,
    Errno::ACCESS,
    Errno::ADDRINUSE,
    Errno::ADDRNOTAVAIL,
    Errno::AFNOSUPPORT,
    Errno::AGAIN,
    Errno::ALREADY,
    Errno::BADF,
    Errno::BADMSG,
    Errno::BUSY,
    Errno::CANCELED,
    Errno::CHILD,
    Errno::CONNABORTED,
    Errno::CONNREFUSED,
    Errno::CONNRESET,
    Errno::DEADLK,
    Errno::DESTADDRREQ,
    Errno::DOM,
    Errno::DQUOT,
    Errno::EXIST,
    Errno::FAULT,
    Errno::FBIG,
    Errno::HOSTUNREACH,
    Errno::IDRM,
    Errno::ILSEQ,
    Errno::INPROGRESS,
    Errno::INTR,
    Errno::INVAL,
    Errno::IO,
    Errno::ISCONN,
    Errno::ISDIR,
    Errno::LOOP,
    Errno::MFILE,
    Errno::MLINK,
    Errno::MSGSIZE,
    Errno::MULTIHOP,
    Errno::NAMETOOLONG,
    Errno::NETDOWN,
    Errno::NETRESET,
    Errno::NETUNREACH,
    Errno::NFILE,
    Errno::NOBUFS,
    Errno::NODEV,
    Errno::NOENT,
    Errno::NOEXEC,
    Errno::NOLCK,
    Errno::NOLINK,
    Errno::NOMEM,
    Errno::NOMSG,
    Errno::NOPROTOOPT,
    Errno::NOSPC,
    Errno::NOSYS,
    Errno::NOTCONN,
    Errno::NOTDIR,
    Errno::NOTEMPTY,
    Errno::NOTRECOVERABLE,
    Errno::NOTSOCK,
    Errno::NOTSUP,
    Errno::NOTTY,
    Errno::NXIO,
    Errno::OVERFLOW,
    Errno::OWNERDEAD,
    Errno::PERM,
    Errno::PIPE,
    Errno::PROTO,
    Errno::PROTONOSUPPORT,
    Errno::PROTOTYPE,
    Errno::RANGE,
    Errno::ROFS,
    Errno::SPIPE,
    Errno::SRCH,
    Errno::STALE,
    Errno::TIMEDOUT,
    Errno::TXTBSY,
    Errno::XDEV,
];

/// WASI's number of what the system said; `io` for what WASI has no word for.
pub(super) fn of(error: Errno) -> i32 {
    let place = IN_ORDER.iter().position(|&known| known == error);
    place.map_or(IO, |place| i32::try_from(place + 1).unwrap_or(IO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_contract() {
        // https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md#errno
        for (error, number) in [
            (Errno::TOOBIG, 1),
            (Errno::ACCESS, 2),
            (Errno::BADF, BADF),
            (Errno::DQUOT, 19),
            (Errno::EXIST, 20),
            (Errno::FBIG, 22),
            (Errno::ILSEQ, 25),
            (Errno::INVAL, INVAL),
            (Errno::IO, IO),
            (Errno::ISDIR, 31),
            (Errno::LOOP, 32),
            (Errno::MFILE, 33),
            (Errno::NAMETOOLONG, 37),
            (Errno::NFILE, 41),
            (Errno::NOENT, 44),
            (Errno::NOSPC, 51),
            (Errno::NOSYS, NOSYS),
            (Errno::NOTDIR, 54),
            (Errno::NOTEMPTY, 55),
            (Errno::NOTSOCK, NOTSOCK),
            (Errno::NOTSUP, 58),
            (Errno::NXIO, 60),
            (Errno::OVERFLOW, 61),
            (Errno::PERM, 63),
            (Errno::ROFS, 69),
            (Errno::SPIPE, SPIPE),
            (Errno::STALE, 72),
            (Errno::TXTBSY, 74),
            (Errno::XDEV, 75),
        ] {
            assert_eq!(of(error), number, "{error}");
        }
    }

    #[test]
    fn what_wasi_has_no_word_for_is_an_error_of_input_or_output() {
        assert_eq!(of(Errno::UCLEAN), IO);
    }
}
