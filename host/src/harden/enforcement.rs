//! What of the hardening really holds, layer by layer: a value that is shown, and never assumed.

use std::fmt;
use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that a worker process gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layer {
    /// Descriptors that the program which embeds cofferdam left open.
    Descriptors,
    /// Being traced, read and dumped by other processes of the same user.
    Tracing,
    /// Core dumps, writing files, opening more than a few descriptors, memory beyond the job's limits.
    Resources,
    /// The powers of root, where it had them.
    Capabilities,
    /// Getting more rights by executing a program.
    NewPrivileges,
    /// Files, TCP ports, signals to other processes, abstract sockets.
    Landlock,
    /// Every system call that running a guest does not take.
    SystemCalls,
}

impl Layer {
    /// Every layer, in the order in which they are put on.
    pub const ALL: [Self; 7] = [
        Self::Descriptors,
        Self::Tracing,
        Self::Resources,
        Self::Capabilities,
        Self::NewPrivileges,
        Self::Landlock,
        Self::SystemCalls,
    ];

    /// What is given up, in a few words.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors left open by the host",
            Self::Tracing => "being traced and read by others",
            Self::Resources => "cores, files, descriptors, memory beyond the limits",
            Self::Capabilities => "the powers of root",
            Self::NewPrivileges => "new rights by executing",
            Self::Landlock => "files, ports, signals to others",
            Self::SystemCalls => "all but some thirty system calls",
        }
    }

    fn place(self) -> usize {
        Self::ALL
            .iter()
            .position(|&layer| layer == self)
            .unwrap_or_default()
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "descriptors",
            Self::Tracing => "tracing",
            Self::Resources => "resources",
            Self::Capabilities => "capabilities",
            Self::NewPrivileges => "new-privileges",
            Self::Landlock => "landlock",
            Self::SystemCalls => "system-calls",
        })
    }
}

/// Whether a layer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Standing {
    /// Nobody asked for it.
    #[default]
    Off,
    /// It holds.
    Enforced,
    /// Some of it holds.
    Partial,
    /// This system does not let it hold.
    Unavailable,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Enforced => "enforced",
            Self::Partial => "partial",
            Self::Unavailable => "unavailable",
        })
    }
}

/// How one layer stands, and why it does not hold if it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) standing: Standing,
    pub(super) why: Why,
}

/// Why a layer does not hold, or not all of it: small enough to travel with each worker's first word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Why {
    #[default]
    Nothing,
    /// The system refused, with this error number.
    Refused(i32),
    /// The kernel knows an older interface of Landlock.
    OldInterface,
    /// Left open so that its memory can be measured.
    Measured,
    /// The program had other threads, which keep what they have.
    OtherThreads,
}

impl Held {
    pub(super) const ENFORCED: Self = Self {
        standing: Standing::Enforced,
        why: Why::Nothing,
    };

    pub(super) fn partial(why: Why) -> Self {
        Self {
            standing: Standing::Partial,
            why,
        }
    }

    pub(super) fn unavailable(why: Why) -> Self {
        Self {
            standing: Standing::Unavailable,
            why,
        }
    }
}

impl From<&io::Result<()>> for Held {
    fn from(tried: &io::Result<()>) -> Self {
        match tried {
            Ok(()) => Self::ENFORCED,
            Err(error) => Self::unavailable(Why::Refused(error.raw_os_error().unwrap_or_default())),
        }
    }
}

/// What of the hardening holds in a worker process, as that process saw it before it ran any guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "what does not hold has to be told"]
pub struct Enforcement([Held; Layer::ALL.len()]);

/// Bytes of each layer on the wire: standing 1 │ why 1 │ number 4.
const EACH: usize = 6;

impl Enforcement {
    /// Bytes on the wire.
    pub(crate) const BYTES: usize = EACH * Layer::ALL.len();

    pub(super) fn note(&mut self, layer: Layer, held: Held) {
        self.0[layer.place()] = held;
    }

    /// How a layer stands.
    #[must_use]
    pub fn standing(&self, layer: Layer) -> Standing {
        self.0[layer.place()].standing
    }

    /// Why a layer does not hold, or not all of it; empty where it holds or was not asked for.
    #[must_use]
    pub fn reason(&self, layer: Layer) -> String {
        match self.0[layer.place()].why {
            Why::Nothing => String::new(),
            Why::Refused(error) => match layer {
                Layer::Landlock if error == libc::ENOSYS => {
                    "the kernel is older than 5.13, or built without it".to_owned()
                }
                Layer::Landlock if error == libc::EOPNOTSUPP => {
                    "the kernel has it switched off (see lsm= of its command line)".to_owned()
                }
                Layer::SystemCalls if error == libc::EOPNOTSUPP => {
                    "no filter is known for this processor".to_owned()
                }
                _ => io::Error::from_raw_os_error(error).to_string(),
            },
            Why::OldInterface => {
                "the kernel's Landlock is older than ABI 6: it knows no scopes, or no ports"
                    .to_owned()
            }
            Why::Measured => "left open, so that its memory can be measured".to_owned(),
            Why::OtherThreads => {
                "the program had other threads before `serve_if_worker`, which keep what they have"
                    .to_owned()
            }
        }
    }

    /// Whether anything of a layer holds.
    pub(super) fn holds(&self, layer: Layer) -> bool {
        matches!(self.standing(layer), Standing::Enforced | Standing::Partial)
    }

    /// Whether every layer holds, in full.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        Layer::ALL
            .iter()
            .all(|&layer| self.standing(layer) == Standing::Enforced)
    }

    /// Whether every layer holds that was asked for: what an experiment leaves open so that it can measure
    /// is not missing.
    pub(crate) fn is_as_required(&self) -> bool {
        self.0
            .iter()
            .all(|held| held.standing == Standing::Enforced || held.why == Why::Measured)
    }

    /// The layers that do not hold in full, with the reasons, for an error message.
    #[must_use]
    pub fn shortcomings(&self) -> String {
        let missing = Layer::ALL
            .iter()
            .filter(|&&layer| self.standing(layer) != Standing::Enforced);
        let told: Vec<String> = missing
            .map(|&layer| match self.reason(layer).as_str() {
                "" => format!("{layer} {}", self.standing(layer)),
                why => format!("{layer} {}: {why}", self.standing(layer)),
            })
            .collect();
        told.join("; ")
    }

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (held, space) in self.0.iter().zip(bytes.chunks_exact_mut(EACH)) {
            let (why, number) = match held.why {
                Why::Nothing => (0, 0),
                Why::Refused(error) => (1, error),
                Why::OldInterface => (2, 0),
                Why::Measured => (3, 0),
                Why::OtherThreads => (4, 0),
            };
            space[0] = match held.standing {
                Standing::Off => 0,
                Standing::Enforced => 1,
                Standing::Partial => 2,
                Standing::Unavailable => 3,
            };
            space[1] = why;
            space[2..].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// `None` if the bytes say nothing that could be said.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut enforcement = Self::default();
        for (held, said) in enforcement.0.iter_mut().zip(bytes.chunks_exact(EACH)) {
            let number = i32::from_le_bytes(said[2..].try_into().ok()?);
            held.standing = match said[0] {
                0 => Standing::Off,
                1 => Standing::Enforced,
                2 => Standing::Partial,
                3 => Standing::Unavailable,
                _ => return None,
            };
            held.why = match said[1] {
                0 => Why::Nothing,
                1 => Why::Refused(number),
                2 => Why::OldInterface,
                3 => Why::Measured,
                4 => Why::OtherThreads,
                _ => return None,
            };
        }
        Some(enforcement)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(held: Held) -> Enforcement {
        Enforcement([held; Layer::ALL.len()])
    }

    #[test]
    fn what_holds_arrives_as_it_was_sent() {
        for why in [
            Why::Nothing,
            Why::Refused(38),
            Why::OldInterface,
            Why::Measured,
            Why::OtherThreads,
        ] {
            for held in [Held::partial(why), Held::unavailable(why)] {
                let sent = all(held);
                assert_eq!(Enforcement::decode(&sent.encode()), Some(sent));
            }
        }
    }

    #[test]
    fn only_what_holds_in_full_is_complete() {
        let mut enforcement = all(Held::ENFORCED);
        assert!(enforcement.is_complete());
        assert_eq!(enforcement.shortcomings(), "");
        enforcement.note(
            Layer::Landlock,
            Held::unavailable(Why::Refused(libc::ENOSYS)),
        );
        assert!(!enforcement.is_complete());
        assert_eq!(
            enforcement.shortcomings(),
            "landlock unavailable: the kernel is older than 5.13, or built without it"
        );
        enforcement.note(Layer::Landlock, Held::default());
        assert_eq!(enforcement.shortcomings(), "landlock off");
    }

    proptest! {
        #[test]
        fn no_bytes_confuse_the_decoder(bytes in proptest::collection::vec(0u8..8, 0..2 * Enforcement::BYTES)) {
            if let Some(decoded) = Enforcement::decode(&bytes) {
                prop_assert_eq!(Enforcement::decode(&decoded.encode()), Some(decoded));
                prop_assert_eq!(bytes.len(), Enforcement::BYTES);
            }
        }
    }
}
