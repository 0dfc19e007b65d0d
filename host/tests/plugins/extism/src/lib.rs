//! One function for each thing that a plugin does.

use extism_pdk::*;

/// Gives back what it was given.
#[plugin_fn]
pub fn echo(input: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(input)
}

/// Text in, text out.
#[plugin_fn]
pub fn greet(name: String) -> FnResult<String> {
    Ok(format!("Hello, {name}!"))
}

/// JSON out, made with the kit's own conversion.
#[plugin_fn]
pub fn count_vowels(text: String) -> FnResult<Json<std::collections::BTreeMap<String, usize>>> {
    let vowels = text.chars().filter(|c| "aeiouAEIOU".contains(*c)).count();
    Ok(Json([("count".to_owned(), vowels)].into()))
}

/// Fails with a reason.
#[plugin_fn]
pub fn fail(why: String) -> FnResult<()> {
    Err(WithReturnCode::new(Error::msg(why), 7))
}

/// A setting, or nothing.
#[plugin_fn]
pub fn setting(key: String) -> FnResult<String> {
    Ok(config::get(&key)?.unwrap_or_else(|| "unset".to_owned()))
}

/// Counts its calls, as long as its instance lives.
#[plugin_fn]
pub fn turn(_: ()) -> FnResult<String> {
    let turn = var::get::<i64>("turn")?.unwrap_or_default() + 1;
    var::set("turn", turn)?;
    Ok(turn.to_string())
}

/// Takes a variable away again.
#[plugin_fn]
pub fn forget(_: ()) -> FnResult<String> {
    var::set("kept", "a while")?;
    let before: Option<String> = var::get("kept")?;
    var::remove("kept")?;
    let after: Option<String> = var::get("kept")?;
    Ok(format!("{before:?} {after:?}"))
}

/// Says something at each level.
#[plugin_fn]
pub fn talk(_: ()) -> FnResult<()> {
    info!("an info");
    warn!("a warning");
    error!("an error");
    Ok(())
}

/// As many bytes as are asked for.
#[plugin_fn]
pub fn produce(count: String) -> FnResult<Vec<u8>> {
    Ok(vec![b'x'; count.parse()?])
}

/// Takes blocks of the host's memory and frees every second one.
#[plugin_fn]
pub fn churn(_: ()) -> FnResult<String> {
    let mut kept = Vec::new();
    for size in 0..2000_usize {
        let block = Memory::from_bytes(vec![size as u8; size])?;
        match size % 2 {
            0 => block.free(),
            _ => kept.push((size, block)),
        }
    }
    let whole = |(size, block): &(usize, Memory)| block.to_vec() == vec![*size as u8; *size];
    Ok(kept.iter().all(whole).to_string())
}

/// Takes the host's memory without an end.
#[plugin_fn]
pub fn hog(_: ()) -> FnResult<()> {
    loop {
        // SAFETY: it takes a number and gives one back.
        unsafe { extism::alloc(1 << 20) };
    }
}

/// Fetches, with the kit's own types: the status, a header and the body of the answer.
#[cfg(feature = "http")]
#[plugin_fn]
pub fn fetch(url: String) -> FnResult<String> {
    let request = HttpRequest::new(url).with_method("POST").with_header("X-Kit", "rust");
    let answer = http::request(&request, Some("a body"))?;
    let kind = answer.header("x-kind").unwrap_or("none");
    let body = String::from_utf8(answer.body())?;
    Ok(format!("{} {kind} {body}", answer.status_code()))
}

/// Panics.
#[plugin_fn]
pub fn panic(_: ()) -> FnResult<()> {
    panic!("on purpose")
}

/// Never returns.
#[plugin_fn]
pub fn spin(_: ()) -> FnResult<()> {
    loop {
        std::hint::spin_loop();
    }
}
