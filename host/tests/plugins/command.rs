//! A command of WASI preview 2 as the standard library makes it: `tests/common/preview2.rs` builds it.

use std::io::{Read, Write};
use std::time::{Duration, Instant, SystemTime};

fn main() {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).expect("text");
    let args: Vec<String> = std::env::args().skip(1).collect();
    match input.as_str() {
        "told" => {
            let mut vars: Vec<String> = std::env::vars().map(|(k, v)| format!("{k}={v}")).collect();
            vars.sort();
            print!("{args:?} {vars:?}");
        }
        "time" => {
            let (began, today) = (Instant::now(), SystemTime::now());
            std::thread::sleep(Duration::from_millis(20));
            assert!(began.elapsed() >= Duration::from_millis(20));
            assert!(today > SystemTime::UNIX_EPOCH);
            print!("slept");
        }
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "chance" => {
            // The keys of a hash table come from the host.
            let key = || {
                use std::hash::{BuildHasher, Hasher};
                std::collections::hash_map::RandomState::new()
                    .build_hasher()
                    .finish()
            };
            print!("{:x}", key());
        }
        "denied" => {
            let file = std::fs::read("/etc/passwd").expect_err("no folder was granted");
            let made = std::fs::write("x", "y").expect_err("no folder was granted");
            let socket = std::net::TcpStream::connect("127.0.0.1:1").expect_err("no network");
            let listens = std::net::TcpListener::bind("127.0.0.1:0").expect_err("no network");
            eprintln!("{file}; {made}; {socket}; {listens}");
            print!("denied");
        }
        "large" => std::io::stdout().write_all(&vec![b'x'; 300_000]).unwrap(),
        "lines" => {
            print!("out");
            eprint!("one\ntwo");
        }
        "trap" => {
            print!("before");
            std::io::stdout().flush().unwrap();
            panic!("on purpose");
        }
        code => std::process::exit(code.parse().expect("a number")),
    }
}
