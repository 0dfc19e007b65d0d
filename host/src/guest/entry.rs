//! How a job enters a guest and how the answer leaves it: found out from what the module imports and
//! exports, or named by whoever knows it.
//!
//! Every entry runs in both isolations, under the same limits. What differs is who moves the bytes:
//!
//! | entry | the job's input | the reply's output | ends well |
//! | --- | --- | --- | --- |
//! | [`Entry::Handle`] | pulled by `input_read` | pushed by `output_write` | `handle` returns 0 |
//! | [`Entry::Start`] | standard input | standard output | `_start` returns, or exit code 0 |
//! | [`Entry::Function`] | numbers as text | its results as text | it returns |
//! | [`Entry::Packed`] | bytes behind a pointer | bytes behind a pointer | it returns |
//! | [`Entry::Run`] | standard input | standard output | `run` returns well, or exit code 0 |
//! | [`Entry::Worker`] | the argument of `handle` | its result | it returns well |
//! | [`Entry::Extism`] | pulled by `input_load_u64` | named by `output_set` | it returns 0 or nothing, and no error is set |

use std::fmt;

use cofferdam_guest::abi;
use serde::{Deserialize, Serialize};

use super::anatomy::{Anatomy, Extern};
use super::interface::wants;
use super::{GuestError, component, extism, interface, wasi};
use crate::mail::printable;

/// What of a guest is called for a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Entry {
    /// `handle`, of a guest of interface 1.
    #[default]
    Handle,
    /// `_start`, of a WASI preview 1 command. Each job gets a fresh instance, whatever the policy says,
    /// since a command ends with its job. Lines on its standard error are log lines.
    Start,
    /// One exported function over numbers.
    Function {
        /// Its name.
        name: String,
    },
    /// An exported function that is given a pointer and a length, and returns both of its answer in one
    /// `i64`: the pointer in the upper half.
    Packed(Packed),
    /// `wasi:cli/run` of a component: a WASI preview 2 command. As with [`Entry::Start`], each job gets a fresh
    /// instance.
    Run,
    /// `handle` of a component of the world `cofferdam:guest/worker` (`guest/wit/worker.wit`).
    Worker,
    /// An exported function of an Extism plugin, which pulls its input and names its output by Extism's host
    /// functions. Its variables live as long as its instance.
    Extism {
        /// Its name.
        call: String,
    },
}

/// The names of a private interface of pointers and lengths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// Takes the input, `(pointer, length)`, and returns the output, `pointer << 32 | length`.
    pub call: String,
    /// Takes a length, and returns a pointer to so many bytes.
    pub alloc: String,
    /// Takes a pointer, or a pointer and a length, and gives back what [`Packed::alloc`] gave or
    /// [`Packed::call`] returned. It is called for the output and then for the input, if it is named.
    pub free: Option<String>,
}

impl Packed {
    /// The names that most such guests use: `alloc`, and nothing that frees.
    #[must_use]
    pub fn new(call: impl Into<String>) -> Self {
        Self::with(call, None, None)
    }

    /// The same, but for the names that are given.
    #[must_use]
    pub fn with(call: impl Into<String>, alloc: Option<String>, free: Option<String>) -> Self {
        Self {
            call: call.into(),
            alloc: alloc.unwrap_or_else(|| "alloc".to_owned()),
            free,
        }
    }
}

/// Parameters and results of the functions of [`Entry::Packed`].
const CALL: &str = "func (i32, i32) -> i64";
const ALLOC: &str = "func (i32) -> i32";
const FREE: [&str; 2] = ["func (i32, i32)", "func (i32)"];

impl Entry {
    /// What this module is made for, if it is one of the kinds that show it.
    ///
    /// `_start` alone does not mean "command": some compilers export it beside the real entry. So the marker
    /// of interface 1 decides first, and then the imports.
    ///
    /// # Errors
    /// What keeps it from being any of them.
    pub(super) fn detect(anatomy: &Anatomy) -> Result<Self, GuestError> {
        if anatomy.component {
            return component::detect(anatomy);
        }
        let imports_from =
            |is: fn(&str) -> bool| anatomy.imports.iter().any(|import| is(&import.module));
        let is_marked = anatomy.export(abi::MARKER).is_some();
        if !is_marked && extism::is_plugin(anatomy) {
            // What else is wrong with it is worth more than a question.
            extism::check(anatomy)?;
            let call = match *extism::calls(anatomy) {
                [only] => only.to_owned(),
                ref several => {
                    let known = several.iter().map(|name| format!("`{}`", printable(name)));
                    return Err(GuestError::NoCall {
                        known: interface::first_of(known.collect()),
                    });
                }
            };
            return Ok(Self::Extism { call });
        }
        let of_another_world =
            imports_from(|module| module == abi::MODULE || module.starts_with("extism"));
        let is_command = !is_marked
            && anatomy.export(wasi::START).is_some()
            && !of_another_world
            && (anatomy.imports.is_empty() || imports_from(wasi::is_module));
        let entry = if is_command {
            Self::Start
        } else {
            Self::Handle
        };
        entry.check(anatomy)?;
        Ok(entry)
    }

    /// Checks that this module can be entered so.
    ///
    /// # Errors
    /// What is missing, or of another type.
    pub(super) fn check(&self, anatomy: &Anatomy) -> Result<(), GuestError> {
        match (self.is_component(), anatomy.component) {
            (true, true) => {
                return match component::detect(anatomy)? == *self {
                    true => Ok(()),
                    false => Err(GuestError::Component),
                };
            }
            (false, true) => return Err(GuestError::Component),
            (true, false) => return Err(GuestError::NoComponent),
            (false, false) => {}
        }
        match self {
            Self::Run | Self::Worker => Err(GuestError::NoComponent),
            Self::Handle => interface::check(anatomy),
            Self::Start => {
                wasi::check(anatomy)?;
                match anatomy.export(wasi::START) {
                    None => return Err(GuestError::MissingExport("the function `_start`")),
                    Some(start) => wants(start, "func ()")?,
                }
                interface::check_memory(anatomy)
            }
            Self::Function { name } => {
                wasi::check(anatomy)?;
                let function = function(anatomy, name)?;
                match function.ty.contains("ref") || function.ty.contains("v128") {
                    false => Ok(()),
                    true => Err(GuestError::WrongExport {
                        name: name.clone(),
                        found: function.ty.clone(),
                        wanted: "a function over i32, i64, f32 and f64",
                    }),
                }
            }
            Self::Packed(packed) => {
                wasi::check(anatomy)?;
                wants(function(anatomy, &packed.call)?, CALL)?;
                wants(function(anatomy, &packed.alloc)?, ALLOC)?;
                if let Some(free) = &packed.free {
                    let free = function(anatomy, free)?;
                    if !FREE.contains(&free.ty.as_str()) {
                        wants(free, FREE[0])?;
                    }
                }
                interface::check_memory(anatomy)
            }
            Self::Extism { call } => {
                extism::check(anatomy)?;
                let function = function(anatomy, call)?;
                match extism::CALLS.contains(&function.ty.as_str()) {
                    true => Ok(()),
                    false => wants(function, extism::CALLS[0]),
                }
            }
        }
    }

    /// Whether a guest that is entered so can be granted folders: one that speaks WASI.
    #[must_use]
    pub(crate) fn knows_folders(&self) -> bool {
        match self {
            Self::Handle => false,
            Self::Start
            | Self::Run
            | Self::Worker
            | Self::Function { .. }
            | Self::Packed(_)
            | Self::Extism { .. } => true,
        }
    }

    /// Whether a guest that is entered so has a way to fetch anything, from the hosts that were allowed.
    #[must_use]
    pub(crate) fn fetches(&self) -> bool {
        match self {
            Self::Extism { .. } => true,
            Self::Handle
            | Self::Run
            | Self::Worker
            | Self::Start
            | Self::Function { .. }
            | Self::Packed(_) => false,
        }
    }

    /// Whether one instance can serve a second job.
    #[must_use]
    pub fn may_be_reused(&self) -> bool {
        match self {
            Self::Start | Self::Run => false,
            Self::Handle
            | Self::Function { .. }
            | Self::Packed(_)
            | Self::Extism { .. }
            | Self::Worker => true,
        }
    }

    /// Whether it is a command of WASI, which is told arguments, reads its job from standard input, and ends with it.
    #[must_use]
    pub fn is_command(&self) -> bool {
        match self {
            Self::Start | Self::Run => true,
            Self::Handle
            | Self::Function { .. }
            | Self::Packed(_)
            | Self::Extism { .. }
            | Self::Worker => false,
        }
    }

    /// Whether what is entered is a component.
    #[must_use]
    pub fn is_component(&self) -> bool {
        match self {
            Self::Run | Self::Worker => true,
            Self::Start
            | Self::Handle
            | Self::Function { .. }
            | Self::Packed(_)
            | Self::Extism { .. } => false,
        }
    }
}

/// An exported function by its name, or those that there are.
fn function<'a>(anatomy: &'a Anatomy, name: &str) -> Result<&'a Extern, GuestError> {
    let is_function = |export: &&Extern| export.ty.starts_with("func");
    let mut functions = anatomy.exports.iter().filter(is_function);
    if let Some(found) = functions.clone().find(|export| export.name == name) {
        return Ok(found);
    }
    // Names with underscores in front are a toolchain's own.
    let known = functions
        .by_ref()
        .filter(|export| !export.name.starts_with('_'))
        .map(|export| format!("`{}`", printable(&export.name)))
        .collect();
    let known = interface::first_of(known);
    Err(GuestError::NoSuchFunction {
        name: name.to_owned(),
        known,
    })
}

impl fmt::Display for Entry {
    /// As `inspect` says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle => f.write_str("a guest of interface 1"),
            Self::Start => f.write_str("a WASI preview 1 command"),
            Self::Run => f.write_str("a component, a WASI preview 2 command"),
            Self::Worker => f.write_str("a component of the world cofferdam:guest/worker"),
            Self::Function { name } => write!(f, "a module whose `{}` is called", printable(name)),
            Self::Packed(packed) => write!(
                f,
                "a module whose `{}` is called with a pointer and a length",
                printable(&packed.call)
            ),
            Self::Extism { call } => {
                write!(f, "an Extism plugin whose `{}` is called", printable(call))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anatomy(body: &str) -> Anatomy {
        Anatomy::of_bytes(format!("(module {body})").as_bytes()).unwrap()
    }

    const EXIT: &str = r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))"#;
    const MEMORY: &str = r#"(memory (export "memory") 1)"#;

    #[test]
    fn the_marker_decides_before_start_does() {
        let both = r#"(memory (export "memory") 1) (func (export "_start"))
            (func (export "cofferdam_abi_1")) (func (export "handle") (result i32) i32.const 0)"#;
        assert_eq!(Entry::detect(&anatomy(both)), Ok(Entry::Handle));
        let start = format!(r#"{EXIT} {MEMORY} (func (export "_start"))"#);
        assert_eq!(Entry::detect(&anatomy(&start)), Ok(Entry::Start));
    }

    #[test]
    fn start_beside_imports_of_another_world_is_no_command() {
        let plugin = |body: &str| {
            anatomy(&format!(
                r#"{EXIT} (import "extism:host/env" "input_length" (func (result i64)))
                {MEMORY} (func (export "_start")) {body}"#
            ))
        };
        let error = Entry::detect(&plugin("")).unwrap_err().to_string();
        assert!(error.ends_with("(--call NAME): there are none"), "{error}");
        let one = r#"(func (export "greet") (result i32) i32.const 0)"#;
        let call = "greet".to_owned();
        assert_eq!(Entry::detect(&plugin(one)), Ok(Entry::Extism { call }));
        let two = format!(r#"{one} (func (export "part"))"#);
        let error = Entry::detect(&plugin(&two)).unwrap_err().to_string();
        assert!(error.ends_with("there are `greet`, `part`"), "{error}");
    }

    #[test]
    fn a_function_that_is_not_there_is_answered_with_those_that_are() {
        let two = anatomy(r#"(func (export "add")) (func (export "sub")) (func (export "_x"))"#);
        let name = "mul".to_owned();
        let error = Entry::Function { name }.check(&two).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it exports no function `mul`: there are `add`, `sub`"
        );
    }

    #[test]
    fn what_cannot_be_typed_cannot_be_invoked() {
        let one = anatomy(r#"(func (export "take") (param externref))"#);
        let name = "take".to_owned();
        let error = Entry::Function { name }.check(&one).unwrap_err();
        assert!(
            error.to_string().contains("i32, i64, f32 and f64"),
            "{error}"
        );
    }

    #[test]
    fn each_function_of_a_packed_interface_is_checked() {
        let whole = |call: &str, free: &str| {
            anatomy(&format!(
                r#"{MEMORY} (func (export "alloc") (param i32) (result i32) i32.const 0)
                (func (export "greet") (param i32 i32) (result {call}) {call}.const 0)
                (func (export "free") (param {free}))"#
            ))
        };
        let entry = |free: Option<&str>| {
            Entry::Packed(Packed {
                free: free.map(ToOwned::to_owned),
                ..Packed::new("greet")
            })
        };
        for free in ["i32", "i32 i32"] {
            assert_eq!(entry(Some("free")).check(&whole("i64", free)), Ok(()));
        }
        assert_eq!(entry(None).check(&whole("i64", "i64")), Ok(()));
        let error = entry(Some("free")).check(&whole("i64", "i64")).unwrap_err();
        assert!(error.to_string().contains("func (i32, i32)"), "{error}");
        let error = entry(None).check(&whole("i32", "i32")).unwrap_err();
        assert!(error.to_string().contains("-> i64"), "{error}");
    }
}
