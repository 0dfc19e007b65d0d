//! What a plugin fetches: from the hosts that were allowed and from no other, in both isolations.
//!
//! Each test has a server of its own on this machine ([`Server`]), and most use a plugin by hand that fetches what its
//! input says.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cofferdam::{
    AllowedHost, BuildError, ByteSize, Death, Entry, Guest, HostError, InstancePolicy, Isolation,
    Job, Limits, Lost, Outcome, PoolBuilder, TrapKind,
};
use rustix::process::Signal;

use common::everywhere::{Ending, build, ending, everywhere, output, places};
use common::kit;
use common::{MS, PATIENCE, command, complete, embedded, limits, run, send, wait_until};

/// A server on this machine, in threads that end with the test's process.
struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What a server has seen so far.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    /// Connections that the other side closed while an answer was awaited.
    hung_up: AtomicUsize,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&shared);
                // A client that is gone is what some tests are about.
                thread::spawn(move || stream.and_then(|stream| seen.serve(&stream)));
            }
        });
        Self { address, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The host and the port, as they are allowed.
    fn host(&self) -> AllowedHost {
        host(&self.address.to_string())
    }

    fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    fn hung_up(&self) -> usize {
        self.seen.hung_up.load(Ordering::SeqCst)
    }
}

impl Seen {
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        let mut body = vec![0; length.unwrap_or_default()];
        reader.read_exact(&mut body)?;
        self.requests.fetch_add(1, Ordering::SeqCst);
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut out = stream;
        match path {
            "/hello" => answer(
                out,
                "200 OK",
                "X-Kind: greeting\r\nX-Twice: 1\r\nx-twice: 2\r\n",
                b"hello",
            ),
            "/missing" => answer(out, "404 Not Found", "", b"nothing here"),
            "/empty" => answer(out, "200 OK", "", b""),
            "/echo" => {
                let said = [head.as_bytes(), &body].concat();
                answer(out, "200 OK", "", &said)
            }
            "/moved" => answer(
                out,
                "302 Found",
                &format!("Location: {query}\r\n"),
                b"over there",
            ),
            "/quotes" => {
                let header = format!(
                    "X-Long: {}\r\n",
                    "\"".repeat(query.parse().unwrap_or_default())
                );
                answer(out, "200 OK", &header, b"")
            }
            "/circle" => answer(out, "307 Temporary Redirect", "Location: /circle\r\n", b""),
            "/bytes" => answer(
                out,
                "200 OK",
                "",
                &vec![b'x'; query.parse().unwrap_or_default()],
            ),
            "/endless" => {
                out.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    out.write_all(&[b'x'; 4096])?;
                }
            }
            "/garbage" => out.write_all(b"\xff\xfe no such protocol\r\n\r\n"),
            "/half" => out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
            // Never answers.
            _ => {
                while reader.read(&mut [0; 1])? > 0 {}
                self.hung_up.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

fn answer(mut out: &TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
    out.write_all(head.as_bytes())?;
    out.write_all(body)
}

fn host(text: &str) -> AllowedHost {
    text.parse().expect("it is a host")
}

/// A plugin that fetches what the first line of its input says, with the rest of it as the body. Each of its functions
/// tells something else of the answer.
fn plugin() -> &'static str {
    r#"(module
        (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
        (import "extism:host/env" "length" (func $length (param i64) (result i64)))
        (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
        (import "extism:host/env" "input_length" (func $input_length (result i64)))
        (import "extism:host/env" "input_load_u8" (func $input (param i64) (result i32)))
        (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
        (import "extism:host/env" "http_request" (func $http_request (param i64 i64) (result i64)))
        (import "extism:host/env" "http_status_code" (func $status (result i32)))
        (import "extism:host/env" "http_headers" (func $headers (result i64)))
        (memory (export "memory") 1)
        (func $newline (result i64) (local $at i64)
            (block $found (loop $next
                (br_if $found (i64.ge_u (local.get $at) (call $input_length)))
                (br_if $found (i32.eq (call $input (local.get $at)) (i32.const 10)))
                (local.set $at (i64.add (local.get $at) (i64.const 1)))
                (br $next)))
            (local.get $at))
        (func $part (param $from i64) (param $to i64) (result i64) (local $block i64) (local $at i64)
            (if (i64.ge_u (local.get $from) (local.get $to)) (then (return (i64.const 0))))
            (local.set $block (call $alloc (i64.sub (local.get $to) (local.get $from))))
            (loop $next
                (call $store (i64.add (local.get $block) (local.get $at))
                    (call $input (i64.add (local.get $from) (local.get $at))))
                (local.set $at (i64.add (local.get $at) (i64.const 1)))
                (br_if $next (i64.lt_u (i64.add (local.get $from) (local.get $at)) (local.get $to))))
            (local.get $block))
        (func $fetch (result i64) (local $end i64)
            (local.set $end (call $newline))
            (call $http_request
                (call $part (i64.const 0) (local.get $end))
                (call $part (i64.add (local.get $end) (i64.const 1)) (call $input_length))))
        (func $say (param $block i64) (result i32)
            (call $output_set (local.get $block) (call $length (local.get $block)))
            (i32.const 0))
        (func (export "body") (result i32) (call $say (call $fetch)))
        (func (export "status") (result i32) (drop (call $fetch)) (call $status))
        (func (export "headers") (result i32) (drop (call $fetch)) (call $say (call $headers)))
        (func (export "before") (result i32)
            (i32.add (call $status) (i32.wrap_i64 (call $headers)))))"#
}

fn call(name: &str) -> Guest {
    let entry = Entry::Extism {
        call: name.to_owned(),
    };
    Guest::with_entry(name, plugin().as_bytes(), entry).expect("it is a plugin")
}

fn get(url: &str) -> String {
    format!(r#"{{"url":"{url}"}}"#)
}

fn allowing(hosts: &[AllowedHost]) -> impl Fn(PoolBuilder) -> PoolBuilder + use<> {
    let hosts = hosts.to_vec();
    move |builder| hosts.iter().cloned().fold(builder, PoolBuilder::allow_host)
}

fn refused(code: i32) -> Ending {
    Ending {
        outcome: Outcome::Refused {
            code,
            reason: String::new(),
        },
        ..output("")
    }
}

fn violation(why: &str) -> Ending {
    Ending {
        outcome: Outcome::InterfaceViolation(why.to_owned()),
        ..output("")
    }
}

/// Checks that a job traps everywhere with a reason that has these words.
fn fails_everywhere(
    guest: &Guest,
    set_up: impl Fn(PoolBuilder) -> PoolBuilder,
    input: &str,
    words: &[&str],
) {
    for (place, builder) in places(guest) {
        let outcome = ending(&build(set_up(builder)), input.as_bytes()).outcome;
        let Outcome::Trapped {
            kind: TrapKind::Other,
            reason,
        } = &outcome
        else {
            panic!("{place}: {outcome:?}")
        };
        assert!(reason.starts_with("http_request"), "{place}: {reason}");
        for word in words {
            assert!(reason.contains(word), "{place}: {reason}");
        }
    }
}

#[test]
fn an_allowed_host_answers_the_same_everywhere() {
    let server = Server::start();
    let allowed = allowing(&[server.host()]);
    let hello = get(&server.url("/hello"));
    everywhere(&call("body"), &allowed, hello.as_bytes(), &output("hello"));
    let headers = r#"{"content-length":"5","x-kind":"greeting","x-twice":"2"}"#;
    everywhere(
        &call("headers"),
        &allowed,
        hello.as_bytes(),
        &output(headers),
    );
    everywhere(&call("status"), &allowed, hello.as_bytes(), &refused(200));
    let missing = get(&server.url("/missing"));
    everywhere(&call("status"), &allowed, missing.as_bytes(), &refused(404));
    everywhere(
        &call("body"),
        &allowed,
        missing.as_bytes(),
        &output("nothing here"),
    );
    let empty = get(&server.url("/empty"));
    everywhere(&call("body"), &allowed, empty.as_bytes(), &output(""));
}

#[test]
fn a_plugin_of_extisms_kit_fetches() {
    let Some(plugin) = kit::fetching() else {
        return;
    };
    let server = Server::start();
    let fetch = kit::call(&plugin, "fetch");
    let allowed = allowing(&[server.host()]);
    let (hello, missing) = (server.url("/hello"), server.url("/missing"));
    everywhere(
        &fetch,
        &allowed,
        hello.as_bytes(),
        &output("200 greeting hello"),
    );
    everywhere(
        &fetch,
        &allowed,
        missing.as_bytes(),
        &output("404 none nothing here"),
    );
    let words = format!(
        "http_request of {hello} is not allowed: give --allow-host {}",
        server.address
    );
    everywhere(
        &fetch,
        |builder| builder,
        hello.as_bytes(),
        &violation(&words),
    );
}

#[test]
fn nothing_that_a_job_fetched_is_told_to_the_next() {
    let server = Server::start();
    let hello = get(&server.url("/hello"));
    for (place, builder) in places(&call("before")) {
        let builder = builder.instance(InstancePolicy::Reused);
        let pool = build(allowing(&[server.host()])(builder));
        for _ in 0..2 {
            assert_eq!(ending(&pool, hello.as_bytes()), output(""), "{place}");
        }
    }
}

#[test]
fn what_is_sent_arrives_and_how_it_travels_is_the_hosts_to_say() {
    let server = Server::start();
    let input = format!(
        r#"{{"url":"{}","method":"post","headers":{{"X-Colour":"green","Host":"another.example","content-length":"1","Connection":"upgrade"}}}}
the body
of two lines"#,
        server.url("/echo")
    );
    for (place, builder) in places(&call("body")) {
        let pool = build(allowing(&[server.host()])(builder));
        let said = String::from_utf8(ending(&pool, input.as_bytes()).output).unwrap();
        let (head, body) = said.split_once("\r\n\r\n").expect("a head and a body");
        let head = head.to_lowercase();
        assert!(
            head.starts_with("post /echo http/1.1\r\n"),
            "{place}: {head}"
        );
        assert!(head.contains("\r\nx-colour: green"), "{place}: {head}");
        assert!(
            head.contains(&format!("\r\nhost: {}", server.address)),
            "{place}: {head}"
        );
        assert!(head.contains("\r\ncontent-length: 21"), "{place}: {head}");
        for word in ["another.example", "upgrade", "cookie"] {
            assert!(!head.contains(word), "{place}: {head}");
        }
        assert_eq!(body, "the body\nof two lines", "{place}");
    }
}

#[test]
fn a_large_body_arrives_whole() {
    let server = Server::start();
    let body = "0123456789abcdef".repeat(8 << 10);
    let input = format!(
        r#"{{"url":"{}","method":"PUT"}}{}{body}"#,
        server.url("/echo"),
        '\n'
    );
    for (place, builder) in places(&call("body")) {
        let pool = build(allowing(&[server.host()])(builder));
        let said = ending(&pool, input.as_bytes()).output;
        assert!(
            said.ends_with(body.as_bytes()),
            "{place}: {} bytes",
            said.len()
        );
    }
}

#[test]
fn what_nobody_allowed_is_refused_with_the_way_out() {
    let server = Server::start();
    let port = server.address.port();
    let url = server.url("/hello");
    let own = host(&format!("127.0.0.1:{port}"));
    let words =
        |allow: &str| format!("http_request of {url} is not allowed: give --allow-host {allow}");
    let all = words(&format!("127.0.0.1:{port}"));
    // No host; another one; the same one with another port; names under it.
    for hosts in [
        vec![],
        vec![host("localhost")],
        vec![host(&format!("127.0.0.1:{}", port ^ 1))],
        vec![host("*.example.com"), host("[::1]")],
    ] {
        let input = get(&url);
        everywhere(
            &call("body"),
            allowing(&hosts),
            input.as_bytes(),
            &violation(&all),
        );
    }
    assert_eq!(server.requests(), 0);
    for (input, words) in [
        (
            get("file:///etc/passwd"),
            "http_request of file:///etc/passwd: invalid format".to_owned(),
        ),
        (
            get("ftp://127.0.0.1/"),
            "http_request of ftp://127.0.0.1/ is not possible: an address begins with http:// or https://, and a host follows".to_owned(),
        ),
        (
            format!(r#"{{"url":"{url}","method":"CONNECT"}}"#),
            format!("http_request of {url}: there is no such method"),
        ),
        (
            "{}".to_owned(),
            "http_request was given no request: missing field `url` at line 1 column 2".to_owned(),
        ),
    ] {
        let allowed = allowing(&[own.clone(), host("localhost")]);
        everywhere(&call("body"), allowed, input.as_bytes(), &violation(&words));
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_name_without_a_port_is_every_port_of_it() {
    let server = Server::start();
    let port = server.address.port();
    let url = format!("http://localhost:{port}/hello");
    let allowed = allowing(&[host("localhost")]);
    everywhere(
        &call("body"),
        allowed,
        get(&url).as_bytes(),
        &output("hello"),
    );
}

#[test]
fn a_request_is_sent_on_within_the_hosts_that_are_allowed() {
    let (server, other) = (Server::start(), Server::start());
    let allowed = allowing(&[server.host()]);
    let near = get(&server.url(&format!("/moved?{}", server.url("/hello"))));
    everywhere(&call("body"), &allowed, near.as_bytes(), &output("hello"));
    let relative = get(&server.url("/moved?/hello"));
    everywhere(
        &call("body"),
        &allowed,
        relative.as_bytes(),
        &output("hello"),
    );
    let from = server.url(&format!("/moved?{}", other.url("/hello")));
    let words = format!(
        "http_request of {from} was sent on, and {} is not allowed: give --allow-host {}",
        other.url("/hello"),
        other.address
    );
    everywhere(
        &call("body"),
        &allowed,
        get(&from).as_bytes(),
        &violation(&words),
    );
    assert_eq!(other.requests(), 0);
    let both = allowing(&[server.host(), other.host()]);
    everywhere(&call("body"), both, get(&from).as_bytes(), &output("hello"));
}

#[test]
fn a_request_that_is_sent_in_a_circle_ends() {
    let server = Server::start();
    let circle = get(&server.url("/circle"));
    let words = ["/circle", "failed", "redirects"];
    fails_everywhere(&call("body"), allowing(&[server.host()]), &circle, &words);
}

#[test]
fn a_server_that_never_answers_costs_the_job_its_time_and_the_pool_nothing() {
    let server = Server::start();
    let over = Ending {
        outcome: Outcome::Deadline,
        ..output("")
    };
    let (silent, endless) = (get(&server.url("/silent")), get(&server.url("/endless")));
    for (place, builder) in places(&call("status")) {
        let builder = builder.limits(limits(Some(MS(300))));
        let pool = build(allowing(&[server.host()])(builder));
        let before = server.hung_up();
        let began = Instant::now();
        assert_eq!(ending(&pool, silent.as_bytes()), over, "{place}");
        assert!(
            began.elapsed() < PATIENCE / 4,
            "{place}: {:?}",
            began.elapsed()
        );
        wait_until("the connection is closed", || server.hung_up() > before);
        assert_eq!(pool.health().abandoned, 0, "{place}");
        // Nothing of it is told to the next job, whose time is its own.
        let generous = Job::new(get(&server.url("/hello"))).timeout(PATIENCE);
        let outcome = complete(&pool, generous).result.expect("a worker").outcome;
        assert_eq!(outcome, refused(200).outcome, "{place}");
    }
    // Without an end it has too many bytes sooner or later.
    fails_everywhere(
        &call("status"),
        allowing(&[server.host()]),
        &endless,
        &["more than 16 MiB"],
    );
}

/// A place where nobody takes connections any more, and none is refused.
fn crowded() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    rustix::net::listen(&listener, 0).expect("the queue can be made shorter");
    let address = listener.local_addr().expect("it has an address");
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, MS(200)) {
        waiting.push(stream);
    }
    (listener, waiting)
}

#[test]
fn a_connection_that_is_never_made_ends_with_the_job() {
    let (listener, _waiting) = crowded();
    let address = listener.local_addr().unwrap().to_string();
    let input = get(&format!("http://{address}/"));
    let over = Ending {
        outcome: Outcome::Deadline,
        ..output("")
    };
    for (place, builder) in places(&call("status")) {
        let builder = builder.limits(limits(Some(MS(300))));
        let pool = build(allowing(&[host(&address)])(builder));
        assert_eq!(ending(&pool, input.as_bytes()), over, "{place}");
        assert_eq!(pool.health().abandoned, 0, "{place}");
    }
}

#[test]
fn a_server_that_is_not_there_or_speaks_otherwise_ends_the_job_with_the_reason() {
    let server = Server::start();
    let own = allowing(&[server.host(), host("nowhere.invalid")]);
    let body = call("body");
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let nobody = format!("http://{closed}/");
    let there = allowing(&[host(&closed.to_string())]);
    fails_everywhere(&body, there, &get(&nobody), &[&nobody, "failed", "refused"]);
    for path in ["/garbage", "/half"] {
        fails_everywhere(&body, &own, &get(&server.url(path)), &[path, "failed"]);
    }
    // There is no such server: it does not speak TLS.
    let secure = format!("https://{}/hello", server.address);
    fails_everywhere(&body, &own, &get(&secure), &[&secure, "failed"]);
    let unknown = get("http://nowhere.invalid/");
    fails_everywhere(&body, &own, &unknown, &["nowhere.invalid", "failed"]);
}

#[test]
fn an_answer_is_bounded_and_counts_as_the_guests_memory() {
    let server = Server::start();
    let allowed = allowing(&[server.host()]);
    let bytes = |count: u64| get(&server.url(&format!("/bytes?{count}")));
    let status = call("status");
    everywhere(&status, &allowed, bytes(16 << 20).as_bytes(), &refused(200));
    fails_everywhere(
        &status,
        &allowed,
        &bytes((16 << 20) + 1),
        &["an answer of more than 16 MiB"],
    );
    let in_little_memory = |builder: PoolBuilder| {
        allowed(builder.limits(Limits {
            memory: ByteSize::from_mib(8),
            ..limits(Some(PATIENCE))
        }))
    };
    let over = Ending {
        outcome: Outcome::MemoryLimit,
        ..output("")
    };
    everywhere(
        &status,
        in_little_memory,
        bytes(4 << 20).as_bytes(),
        &refused(200),
    );
    everywhere(&status, in_little_memory, bytes(8 << 20).as_bytes(), &over);
}

#[test]
fn headers_are_bounded_and_travel_however_long_they_are_within_that() {
    let server = Server::start();
    let allowed = allowing(&[server.host()]);
    let quotes = |count: usize| get(&server.url(&format!("/quotes?{count}")));
    // Each of them takes two bytes in JSON.
    let headers = |count: usize| {
        format!(
            r#"{{"content-length":"0","x-long":"{}"}}"#,
            r#"\""#.repeat(count)
        )
    };
    let most = 16_000;
    everywhere(
        &call("headers"),
        &allowed,
        quotes(most).as_bytes(),
        &output(&headers(most)),
    );
    fails_everywhere(
        &call("headers"),
        &allowed,
        &quotes(17_000),
        &["failed", "header"],
    );
}

#[test]
fn a_request_counts_as_output() {
    let server = Server::start();
    let in_few_words = |builder: PoolBuilder| {
        let builder = builder.limits(Limits {
            output: ByteSize::from_kib(4),
            ..limits(Some(PATIENCE))
        });
        allowing(&[server.host()])(builder)
    };
    let put = |length: usize| {
        let head = format!(r#"{{"url":"{}","method":"PUT"}}"#, server.url("/empty"));
        let body = "x".repeat(length - head.len());
        format!("{head}\n{body}")
    };
    everywhere(
        &call("status"),
        in_few_words,
        put(4096).as_bytes(),
        &refused(200),
    );
    let over = Ending {
        outcome: Outcome::OutputLimit,
        ..output("")
    };
    let sent = server.requests();
    everywhere(&call("status"), in_few_words, put(4097).as_bytes(), &over);
    assert_eq!(server.requests(), sent);
    let long = format!(
        r#"{{"url":"{}","headers":{{"a":"{}"}}}}"#,
        server.url("/"),
        "x".repeat(32 << 10)
    );
    let words =
        "http_request was given a request whose address, method and headers have more than 32 KiB";
    everywhere(
        &call("status"),
        allowing(&[server.host()]),
        long.as_bytes(),
        &violation(words),
    );
}

#[test]
fn a_worker_that_is_killed_while_the_host_fetches_for_it_is_missed_at_once() {
    let server = Server::start();
    for (place, builder) in places(&call("status")).into_iter().skip(1) {
        let pool = build(allowing(&[server.host()])(builder));
        let (asked, gone) = (server.requests(), server.hung_up());
        let ticket = pool.submit(Job::new(get(&server.url("/silent")))).unwrap();
        wait_until("the server is asked", || server.requests() > asked);
        let pid = pool.workers()[0].pid.expect("it has a process");
        let began = Instant::now();
        send(pid, Signal::KILL);
        let completion = ticket.wait_for(PATIENCE / 2).expect("the job ends");
        let death = completion.result.unwrap_err();
        assert_eq!(death, Lost::Worker(Death::Signalled(9)), "{place}");
        assert!(began.elapsed() < Duration::from_secs(20), "{place}");
        wait_until("the connection is closed", || server.hung_up() > gone);
        let next = ending(&pool, get(&server.url("/hello")).as_bytes());
        assert_eq!(next, refused(200), "{place}");
        assert_eq!(pool.health().abandoned, 0, "{place}");
    }
}

#[test]
fn a_pool_that_is_stopped_waits_for_no_server() {
    let server = Server::start();
    for (place, builder) in places(&call("status")) {
        let untimed = builder.limits(limits(None));
        let pool = build(allowing(&[server.host()])(untimed));
        let (asked, gone) = (server.requests(), server.hung_up());
        let ticket = pool.submit(Job::new(get(&server.url("/silent")))).unwrap();
        wait_until("the server is asked", || server.requests() > asked);
        pool.stopper().stop();
        let completion = ticket.wait_for(PATIENCE / 2).expect("the job ends");
        assert_eq!(completion.result.unwrap_err(), Lost::Cancelled, "{place}");
        wait_until("the connection is closed", || server.hung_up() > gone);
        assert_eq!(pool.health().abandoned, 0, "{place}");
    }
}

#[test]
fn a_caller_who_borrows_a_worker_fetches_for_it() {
    let server = Server::start();
    for (place, builder) in places(&call("body")) {
        let pool = build(allowing(&[server.host()])(builder));
        for _ in 0..3 {
            let completion = pool.call(Job::new(get(&server.url("/hello")))).unwrap();
            assert_eq!(completion.result.unwrap().output, b"hello", "{place}");
        }
    }
}

#[test]
fn guests_that_fetch_nothing_are_given_no_host() {
    for isolation in [Isolation::Thread, Isolation::Process] {
        let builder = common::builder(&embedded("echo"), isolation);
        let Err(error) = builder.allow_host(host("example.com")).build() else {
            panic!("it was built")
        };
        assert!(matches!(error, BuildError::Host(HostError::NoUse { .. })));
        let words = error.to_string();
        assert!(words.contains("hosts go with Extism plugins"), "{words}");
    }
}

/// The plugin's file, in a folder of its own.
fn on_disk() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugin.wat");
    std::fs::write(&path, plugin()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn the_command_line_allows_hosts() {
    let server = Server::start();
    let (_folder, path) = on_disk();
    let (input, own) = (get(&server.url("/hello")), server.address.to_string());
    for isolation in ["thread", "process"] {
        let words = [
            "run",
            "--isolation",
            isolation,
            "--call",
            "body",
            "--input",
            &input,
        ];
        let allowed = words.into_iter().chain(["--allow-host", &own, &path]);
        assert_eq!(run(allowed).exits_with(0).text(), "hello");
        run(words.into_iter().chain([path.as_str()]))
            .exits_with(1)
            .says(&format!("give --allow-host {own}"));
    }
    // No proxy, whatever the environment says.
    let words = [
        "run",
        "--call",
        "body",
        "--input",
        &input,
        "--allow-host",
        &own,
        &path,
    ];
    let done = command(words)
        .env("http_proxy", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(done.stdout, b"hello", "{done:?}");
    run(["run", "--allow-host", "*", "--call", "body", &path])
        .exits_with(2)
        .says("that would be every host there is");
    run(["run", "--allow-host", "example.com", "@echo"])
        .exits_with(2)
        .says("hosts go with Extism plugins");
    run([
        "run",
        "--allow-host",
        "example.com",
        "--native",
        "--",
        "true",
    ])
    .exits_with(2)
    .says("--allow-host means something to guests");
    let seen = run(["inspect", "--call", "body", &path]).exits_with(0);
    assert!(seen.text().contains("within the hosts of --allow-host"));
}

#[test]
fn a_manifest_allows_hosts() {
    let server = Server::start();
    let (folder, path) = on_disk();
    let file = folder.path().join("cofferdam.toml");
    let check = |hosts: &str| {
        let input = get(&server.url("/hello"));
        let text = format!(
            "guest = \"{path}\"\ncall = \"body\"\nhosts = [\"{hosts}\"]\n[[case]]\nname = \"greets\"\ninput = '{input}'\noutput = \"hello\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        run(["check", "--calls", "3", "--random", "0", "--manifest", file])
    };
    check(&server.address.to_string()).exits_with(0);
    check("example.com").exits_with(100);
    check("http://example.com")
        .exits_with(2)
        .says("give its host alone");
}
