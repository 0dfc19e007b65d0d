//! What `handler!` makes of a closure, seen from a guest's crate.
#![cfg(feature = "std")]

use cofferdam_guest::testing::Job;
use cofferdam_guest::{__private, Refusal};

cofferdam_guest::handler!(|context, input| -> Result<Vec<u8>, Refusal> {
    context.post("begun");
    match input {
        b"" => Err(Refusal::new("nothing to do").with_code(3)),
        _ => Ok(input.to_ascii_uppercase()),
    }
});

#[test]
fn an_ok_is_the_reply() {
    let ending = Job::new("abc").run_entry(|context| __private::answer(context, handler));
    assert_eq!((ending.code, ending.reason), (0, None));
    assert_eq!(ending.output, b"ABC");
    assert_eq!(ending.posted, [b"begun"]);
}

#[test]
fn an_err_is_a_refusal_with_its_code() {
    let ending = Job::new("").run_entry(|context| __private::answer(context, handler));
    assert_eq!((ending.code, ending.output), (3, vec![]));
    assert_eq!(ending.reason.unwrap(), "nothing to do");
}

#[test]
fn the_stand_in_runs_it_alike() {
    assert_eq!(Job::new("abc").run(handler).output, b"ABC");
}
