//! One call of a guest, by whatever it is entered.
//!
//! For all but interface 1 the host moves the bytes here, in the guest's name; each pointer that the guest gives
//! is checked before it is used.

use cofferdam_guest::abi;
use wasmtime::{Func, FuncType, Instance, Result, Store, TypedFunc, Val, ValType};

use super::state::StoreState;
use super::{component, extism, imports};
use crate::guest::extism::{CONSTRUCTORS, HASKELL};
use crate::guest::{Entry, wasi};
use crate::job::Outcome;

/// What is called for a job, found in an instance once.
pub(super) enum Door {
    Handle(TypedFunc<(), i32>),
    Start(TypedFunc<(), ()>),
    Function {
        function: Func,
        ty: FuncType,
    },
    Packed {
        call: TypedFunc<(i32, i32), i64>,
        alloc: TypedFunc<i32, i32>,
        free: Option<Free>,
    },
    Extism(Call),
    Component(component::Door),
}

/// A function of an Extism plugin: the older ones return nothing.
pub(super) enum Call {
    WithCode(TypedFunc<(), i32>),
    Plain(TypedFunc<(), ()>),
}

pub(super) enum Free {
    Pointer(TypedFunc<i32, ()>),
    Range(TypedFunc<(i32, i32), ()>),
}

/// What an ending that is noted in the job's state leaves to be returned.
const NOTED: i32 = 0;

impl Door {
    /// Finds what `entry` names.
    ///
    /// # Errors
    /// The host checked that it is there, so none of a guest that was loaded by [`crate::Guest`].
    pub(super) fn find(
        entry: &Entry,
        instance: &Instance,
        store: &mut Store<StoreState>,
    ) -> Result<Self> {
        Ok(match entry {
            Entry::Run | Entry::Worker => return Err(wasmtime::Error::msg("it is a component")),
            Entry::Handle => Self::Handle(instance.get_typed_func(&mut *store, abi::ENTRY)?),
            Entry::Start => Self::Start(instance.get_typed_func(&mut *store, wasi::START)?),
            Entry::Function { name } => {
                let missing = || wasmtime::Error::msg("the function is not there");
                let function = instance.get_func(&mut *store, name).ok_or_else(missing)?;
                let ty = function.ty(&*store);
                Self::Function { function, ty }
            }
            Entry::Packed(packed) => Self::Packed {
                call: instance.get_typed_func(&mut *store, &packed.call)?,
                alloc: instance.get_typed_func(&mut *store, &packed.alloc)?,
                free: match &packed.free {
                    None => None,
                    Some(name) => Some(match instance.get_typed_func(&mut *store, name) {
                        Ok(range) => Free::Range(range),
                        Err(_) => Free::Pointer(instance.get_typed_func(&mut *store, name)?),
                    }),
                },
            },
            Entry::Extism { call } => {
                Self::Extism(match instance.get_typed_func(&mut *store, call) {
                    Ok(function) => Call::WithCode(function),
                    Err(_) => Call::Plain(instance.get_typed_func(&mut *store, call)?),
                })
            }
        })
    }

    /// Runs the job that the store has: 0, or the code with which the guest refuses.
    ///
    /// # Errors
    /// How the guest ended, where it did not return.
    pub(super) fn enter(&self, store: &mut Store<StoreState>) -> Result<i32> {
        match self {
            Self::Handle(handle) => handle.call(store, ()),
            Self::Component(door) => door.enter(store),
            Self::Start(start) => start.call(store, ()).map(|()| NOTED),
            Self::Function { function, ty } => invoke(*function, ty, store),
            Self::Extism(call) => {
                extism::begin(store);
                let returned = match call {
                    Call::WithCode(function) => function.call(&mut *store, ()),
                    Call::Plain(function) => function.call(&mut *store, ()).map(|()| NOTED),
                };
                match returned {
                    Ok(code) => extism::conclude(store, code),
                    Err(error) => {
                        // A plugin that gives up says why before it traps.
                        extism::note_error(store.data_mut());
                        Err(error)
                    }
                }
            }
            Self::Packed { call, alloc, free } => {
                let input = input_text(store);
                let length = u32::try_from(input.len()).map_err(|_| too_long())?;
                let at = alloc.call(&mut *store, length.cast_signed())?;
                if at == 0 && length > 0 {
                    let why = format!("alloc gave no place for {length} bytes");
                    return imports::end(store.data_mut(), Outcome::InterfaceViolation(why));
                }
                with_memory(store, |memory, state| {
                    let range = imports::check(memory, state, "alloc", at.cast_unsigned(), length)?;
                    memory[range].copy_from_slice(&input);
                    Ok(())
                })?;
                let answer = call
                    .call(&mut *store, (at, length.cast_signed()))?
                    .cast_unsigned();
                let [from, size] = halves(answer);
                with_memory(store, |memory, state| {
                    let range = imports::check(memory, state, "its answer", from, size)?;
                    imports::say(state, &memory[range])
                })?;
                let input = at.cast_unsigned();
                let given = [(from, size), (input, length)];
                // A guest that answers in place has one thing to free; nothing lies at 0.
                let alive = given.iter().take(if from == input { 1 } else { 2 });
                for &(at, length) in alive.filter(|(at, _)| *at != 0) {
                    let (at, length) = (at.cast_signed(), length.cast_signed());
                    match free {
                        None => {}
                        Some(Free::Pointer(free)) => free.call(&mut *store, at)?,
                        Some(Free::Range(free)) => free.call(&mut *store, (at, length))?,
                    }
                }
                Ok(NOTED)
            }
        }
    }
}

/// What starts a plugin's own runtime, if it has one: that of Haskell is started here, and what is returned is to be
/// called next.
///
/// # Errors
/// What came of calling it.
pub(super) fn extism_runtime(
    instance: &Instance,
    store: &mut Store<StoreState>,
) -> Result<Option<Func>> {
    let reactor = instance.get_func(&mut *store, abi::INITIALIZE);
    if let Some(haskell) = instance.get_func(&mut *store, HASKELL) {
        if let Some(reactor) = reactor {
            reactor.typed::<(), ()>(&*store)?.call(&mut *store, ())?;
        }
        let start = haskell.typed::<(i32, i32), ()>(&*store)?;
        start.call(&mut *store, (0, 0))?;
        return Ok(None);
    }
    let constructors = instance.get_func(&mut *store, CONSTRUCTORS);
    Ok(constructors.or(reactor))
}

/// The upper and the lower half of a number.
fn halves(both: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = both.to_be_bytes();
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ]
}

fn too_long() -> wasmtime::Error {
    wasmtime::Error::msg("an input of more than 4 GiB")
}

fn input_text(store: &Store<StoreState>) -> Vec<u8> {
    let payload = store.data().job.job.payload();
    let mut bytes = vec![0; payload.len()];
    payload.copy_to(0, &mut bytes);
    bytes
}

fn with_memory<T>(
    store: &mut Store<StoreState>,
    act: impl FnOnce(&mut [u8], &mut StoreState) -> Result<T>,
) -> Result<T> {
    let none = || wasmtime::Error::msg("the guest exports no memory");
    let memory = store.data().memory.ok_or_else(none)?;
    let (memory, state) = memory.data_and_store_mut(store);
    act(memory, state)
}

/// Calls a function with the numbers that the input has, and writes its results.
fn invoke(function: Func, ty: &FuncType, store: &mut Store<StoreState>) -> Result<i32> {
    let input = input_text(store);
    let arguments = match arguments(&input, ty) {
        Ok(arguments) => arguments,
        Err(reason) => {
            store.data_mut().job.reason = reason;
            return Ok(MISTYPED);
        }
    };
    let mut results = vec![Val::I32(0); ty.results().len()];
    function.call(&mut *store, &arguments, &mut results)?;
    let results: Vec<String> = results.iter().map(written).collect();
    imports::say(store.data_mut(), results.join(" ").as_bytes()).map(|()| NOTED)
}

/// The code of a job whose input has not the numbers that the function takes.
const MISTYPED: i32 = 2;

/// The numbers of a text, apart from each other by blanks, as the parameters of a function.
fn arguments(text: &[u8], ty: &FuncType) -> std::result::Result<Vec<Val>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the arguments are no text".to_owned())?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let wanted: Vec<ValType> = ty.params().collect();
    if words.len() != wanted.len() {
        let types: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        return Err(format!(
            "{} arguments were given, and the function takes ({})",
            words.len(),
            types.join(", ")
        ));
    }
    let typed = words.iter().zip(&wanted);
    typed
        .map(|(word, ty)| read(word, ty).ok_or_else(|| format!("`{}` is no {ty}", shortened(word))))
        .collect()
}

/// A word as it is quoted, however long it is.
fn shortened(word: &str) -> String {
    const MOST: usize = 40;
    match word.char_indices().nth(MOST) {
        None => word.to_owned(),
        Some((end, _)) => format!("{}…", &word[..end]),
    }
}

/// An integer may be given as signed, as unsigned, or in hexadecimal.
fn read(word: &str, ty: &ValType) -> Option<Val> {
    let integer = || match word.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    };
    Some(match ty {
        ValType::I32 => {
            let number = integer()?;
            let signed = i32::try_from(number).ok();
            Val::I32(signed.or_else(|| Some(u32::try_from(number).ok()?.cast_signed()))?)
        }
        ValType::I64 => {
            let number = integer()?;
            let signed = i64::try_from(number).ok();
            Val::I64(signed.or_else(|| Some(u64::try_from(number).ok()?.cast_signed()))?)
        }
        ValType::F32 => Val::F32(word.parse::<f32>().ok()?.to_bits()),
        ValType::F64 => Val::F64(word.parse::<f64>().ok()?.to_bits()),
        _ => return None,
    })
}

fn written(value: &Val) -> String {
    match value {
        Val::I32(number) => number.to_string(),
        Val::I64(number) => number.to_string(),
        Val::F32(bits) => f32::from_bits(*bits).to_string(),
        Val::F64(bits) => f64::from_bits(*bits).to_string(),
        _ => "?".to_owned(),
    }
}
