//! The exports of a guest, and the way from them to its handler.

use crate::Context;

/// Makes `fn(&Context) -> i32` the guest's entry: 0 = done, anything else = refused with that code.
///
/// The lower one of two ways; it needs no allocator, and the function reads and writes for itself.
/// [`handler!`](crate::handler) is the comfortable one. A guest has one of them, once.
///
/// ```
/// use cofferdam_guest::Context;
///
/// fn count(context: &Context) -> i32 {
///     let len = u32::try_from(context.input_len()).unwrap_or(u32::MAX);
///     context.write(&len.to_le_bytes());
///     0
/// }
/// cofferdam_guest::entry!(count);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! entry {
    ($function:path) => {
        #[cfg(not(target_family = "wasm"))]
        const _: fn(&$crate::Context) -> i32 = $function;

        #[cfg(target_family = "wasm")]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn cofferdam_abi_1() {}

            #[unsafe(no_mangle)]
            extern "C" fn handle() -> i32 {
                $crate::__private::enter($function)
            }
        };
    };
}

/// Makes a closure the guest's entry: the whole input in, the whole reply out.
///
/// It takes the input, or a [`Context`] and the input, and returns a `Result`. What is in `Ok` becomes the reply
/// (anything that is `AsRef<[u8]>`). What is in `Err` becomes a refusal: anything with `Display`, with code 1, or a
/// [`Refusal`](crate::Refusal) with a code of its own. The closure cannot capture; it becomes a function named
/// `handler` in the module where the macro stands, which native tests can call.
///
/// ```
/// cofferdam_guest::handler!(|input: &[u8]| -> Result<Vec<u8>, String> {
///     Ok(input.iter().rev().copied().collect())
/// });
/// # fn main() {}
/// ```
/// With the host at hand, and a function instead of a closure:
/// ```
/// use cofferdam_guest::{Context, Level, Refusal};
///
/// fn greet(context: &Context, input: &[u8]) -> Result<String, Refusal> {
///     let name = std::str::from_utf8(input)?;
///     context.log(Level::Info, format_args!("greeting {name}"));
///     Ok(format!("Hello, {name}!"))
/// }
/// cofferdam_guest::handler!(|context, input| -> Result<String, Refusal> { greet(context, input) });
/// # fn main() {}
/// ```
#[cfg(feature = "alloc")]
#[macro_export]
macro_rules! handler {
    (|$input:ident $(: &[u8])?| -> $result:ty $body:block) => {
        $crate::handler!(|_context: &Context, $input: &[u8]| -> $result $body);
    };
    (|$context:ident $(: &Context)?, $input:ident $(: &[u8])?| -> $result:ty $body:block) => {
        /// Does one job: the guest's handler.
        pub fn handler($context: &$crate::Context, $input: &[u8]) -> $result $body

        const _: () = {
            fn entry(context: &$crate::Context) -> i32 {
                $crate::__private::answer(context, handler)
            }
            $crate::entry!(entry);
        };
    };
}

/// The panic handler of a guest without `std`: the message and the place become the reason, then the guest traps.
///
/// It expands to nothing where `std` has one: natively, and when the SDK is built with the feature `std`, where
/// [`entry!`](crate::entry) and [`handler!`](crate::handler) install a panic hook to the same effect. So a guest stays
/// whole when cargo builds it together with another one that asks for `std`.
///
/// ```
/// #![cfg_attr(target_family = "wasm", no_std)]
/// cofferdam_guest::panic_handler!();
/// # fn main() {}
/// ```
#[cfg(not(feature = "std"))]
#[macro_export]
macro_rules! panic_handler {
    () => {
        #[cfg(target_family = "wasm")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::__private::die(info)
        }
    };
}

/// The panic handler of a guest without `std`: the message and the place become the reason, then the guest traps.
///
/// It expands to nothing where `std` has one: natively, and when the SDK is built with the feature `std`, as it is now.
/// There [`entry!`](crate::entry) and [`handler!`](crate::handler) install a panic hook to the same effect. So a guest
/// stays whole when cargo builds it together with another one that asks for `std`.
///
/// ```
/// #![cfg_attr(target_family = "wasm", no_std)]
/// cofferdam_guest::panic_handler!();
/// # fn main() {}
/// ```
#[cfg(feature = "std")]
#[macro_export]
macro_rules! panic_handler {
    () => {};
}

/// Makes the host the source of random bytes for getrandom 0.3 and 0.4, and so for `rand`, `uuid` and others.
///
/// The guest crate depends on `getrandom` itself, calls this once, and is built with
/// `RUSTFLAGS='--cfg getrandom_backend="custom"'`, without which getrandom does not look for it.
///
/// ```
/// # mod getrandom { pub struct Error; }
/// cofferdam_guest::getrandom_backend!(getrandom);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! getrandom_backend {
    ($getrandom:ident) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            #[unsafe(no_mangle)]
            unsafe extern "Rust" fn __getrandom_v03_custom(
                dest: *mut u8,
                len: usize,
            ) -> Result<(), $getrandom::Error> {
                // SAFETY: getrandom passes a range that it may write to.
                unsafe { $crate::__private::fill_random_raw(dest, len) };
                Ok(())
            }
        };
    };
}

/// Enters the guest for one job.
pub fn enter(entry: fn(&Context) -> i32) -> i32 {
    #[cfg(all(target_family = "wasm", feature = "std"))]
    install_panic_hook();
    entry(&Context::new())
}

/// Runs a handler over the whole input, and hands in what it answers.
#[cfg(feature = "alloc")]
pub fn answer<R: crate::Reply>(context: &Context, handler: fn(&Context, &[u8]) -> R) -> i32 {
    handler(context, &context.input()).hand_in(context)
}

/// Reports a panic, and ends the job in a trap.
#[cfg(target_family = "wasm")]
pub fn die(info: &core::panic::PanicInfo<'_>) -> ! {
    Context::new().fail(info);
    core::arch::wasm32::unreachable()
}

/// A panic ends in a trap by itself; the hook runs before and leaves the reason with the host.
#[cfg(all(target_family = "wasm", feature = "std"))]
fn install_panic_hook() {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED
        .call_once(|| std::panic::set_hook(std::boxed::Box::new(|info| Context::new().fail(info))));
}
