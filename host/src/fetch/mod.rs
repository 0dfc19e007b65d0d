//! What a guest fetches: by the host's process and by no other, from the hosts that were allowed and from no other.
//!
//! Whoever calls [`fetch`] may be wrong or hostile: a guest in a thread, or a worker process that was taken over and asks
//! for what it likes. So everything is checked here, in the host: the address and every address that a server sends on to,
//! when the connection is made ([`lookup`]); how large the request is and how large the answer may be; which headers are
//! the host's own to say. Every wait ends when the job does ([`transport`]), so that nobody is held by a server that does
//! not answer.
//!
//! Each request has a connection of its own, which is closed after it: nothing of one job reaches the next. There are no
//! cookies, no proxies, whatever the environment says, and no files.

mod lookup;
mod transport;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::Deserialize;
use ureq::http::header::{HeaderMap, HeaderName, HeaderValue};
use ureq::http::uri::InvalidUri;
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body};

use crate::hosts::{Hosts, Stranger, shortened, shown};
use lookup::Lookup;
use transport::{Dialer, is_over};

/// The most bytes of what describes a request: its address, its method and its headers. They travel in a frame's trailer.
pub(crate) const MOST_HEAD: usize = 32 << 10;

/// The most bytes of an answer, whatever a job may take: the host holds them for a moment, too. Extism's own bound is 50
/// MiB; the largest input that a job is usually given is 64 MiB, but that was chosen by whoever gives it.
pub(crate) const MOST_ANSWER: u64 = 16 << 20;

/// The most bytes of an answer's headers, as Node has it. They travel in a frame's trailer, as JSON, which has at the
/// most twice as many.
const MOST_HEADERS: usize = 16 << 10;

/// How often a request may be sent on.
const MOST_REDIRECTS: u32 = 10;

/// What a guest wants to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Address, method and headers, in Extism's JSON, as the guest wrote it.
    pub(crate) head: Vec<u8>,
    /// What is sent along; nothing where it is empty.
    pub(crate) body: Vec<u8>,
    /// Bytes that the answer may have.
    pub(crate) most: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The server's answer, whatever its status.
    Answer(Answer),
    /// The request is none, or is not allowed.
    Refused(String),
    /// It was sent or should have been, and no answer came.
    Failed(String),
    /// The answer has more bytes than it may.
    TooLarge,
    /// The job is over.
    Interrupted,
}

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// A JSON object, its names in small letters.
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

/// Says that a job is over.
pub(crate) trait Halt {
    /// Something that can be read from then on. To be asked for anew with each wait.
    ///
    /// # Errors
    /// Where the system has no descriptor for it.
    fn halt(&self) -> io::Result<OwnedFd>;
}

/// The JSON in which a guest describes a request.
#[derive(Deserialize)]
struct Head {
    url: String,
    headers: Option<BTreeMap<String, String>>,
    method: Option<String>,
}

/// A request that can be made.
struct Order {
    url: Uri,
    method: Method,
    headers: HeaderMap,
}

/// What can be asked for. CONNECT is not among them: it asks a server to be a way to others.
const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// Headers that say how a request travels, and to whom: the host's to say, and left out where a guest gives them. With
/// `host` it could have an answer of a server that was not allowed and stands behind the same address.
const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fetches what is wanted, if it is allowed; until `halt` says that nobody waits for it any more.
pub(crate) fn fetch(wanted: &Wanted, hosts: &Hosts, halt: &dyn Halt) -> Fetched {
    let order = match Order::read(&wanted.head) {
        Ok(order) => order,
        Err(why) => return Fetched::Refused(why),
    };
    if let Err(stranger) = hosts.admit(&order.url) {
        return Fetched::Refused(format!("http_request of {stranger}"));
    }
    let url = shown(&order.url);
    let failed =
        |why: &str| Fetched::Failed(format!("http_request of {url} failed: {}", shortened(why)));
    let halt = match halt.halt() {
        Ok(halt) => Arc::new(halt),
        Err(error) => return failed(&error.to_string()),
    };
    let most = wanted.most.min(MOST_ANSWER);
    let fetched = order
        .send(&wanted.body, hosts, &halt, TlsConfig::default())
        .and_then(|response| take_in(response, most));
    if is_over(&halt) {
        return Fetched::Interrupted;
    }
    match fetched {
        Ok(fetched) => fetched,
        Err(ureq::Error::Other(error)) if error.is::<Stranger>() => {
            Fetched::Refused(format!("http_request of {url} was sent on, and {error}"))
        }
        Err(error) => failed(&error.to_string()),
    }
}

impl Order {
    fn read(head: &[u8]) -> Result<Self, String> {
        const CALL: &str = "http_request";
        let Head {
            url,
            headers,
            method,
        } = serde_json::from_slice(head)
            .map_err(|error| format!("{CALL} was given no request: {error}"))?;
        let url: Uri = url.parse().map_err(|error: InvalidUri| {
            // Not all of it: a password may stand in it.
            let place = url.rsplit_once('@').map_or(&*url, |(_, place)| place);
            format!("{CALL} of {}: {error}", shortened(place))
        })?;
        let refused = |why: String| format!("{CALL} of {}: {why}", shown(&url));
        let method = method.unwrap_or_else(|| "GET".to_owned()).to_uppercase();
        let method = METHODS
            .into_iter()
            .find(|known| known.as_str() == method)
            .ok_or_else(|| refused("there is no such method".to_owned()))?;
        let mut kept = HeaderMap::new();
        for (name, value) in headers.unwrap_or_default() {
            if OWN_HEADERS.contains(&&*name.to_ascii_lowercase()) {
                continue;
            }
            let name: HeaderName = name
                .parse()
                .map_err(|_| refused(format!("`{}` is no header", shortened(&name))))?;
            let value = HeaderValue::from_str(&value)
                .map_err(|_| refused(format!("the header `{name}` has no such value")))?;
            kept.append(name, value);
        }
        Ok(Self {
            url,
            method,
            headers: kept,
        })
    }

    /// Sends it, and follows wherever it is sent on to, within the hosts that are allowed.
    fn send(
        &self,
        body: &[u8],
        hosts: &Hosts,
        halt: &Arc<OwnedFd>,
        tls: TlsConfig,
    ) -> Result<Response<Body>, ureq::Error> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(MOST_REDIRECTS)
            .max_idle_connections(0)
            .max_response_header_size(MOST_HEADERS)
            .user_agent(concat!("cofferdam/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        let dialer = Dialer::new(Arc::clone(halt)).chain(RustlsConnector::default());
        let agent = Agent::with_parts(config, dialer, Lookup::new(hosts.clone(), Arc::clone(halt)));
        let mut request = Request::builder().method(&self.method).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match body {
            [] => agent.run(request.body(())?),
            body => agent.run(request.body(body)?),
        }
    }
}

fn take_in(response: Response<Body>, most: u64) -> Result<Fetched, ureq::Error> {
    // Of a name that is there more than once the last value, as Extism has it.
    let headers: BTreeMap<&str, &str> = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let headers = serde_json::to_string(&headers).map_err(io::Error::from)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let reader = response.into_body().into_reader();
    reader.take(most.saturating_add(1)).read_to_end(&mut body)?;
    if body.len() as u64 > most {
        return Ok(Fetched::TooLarge);
    }
    Ok(Fetched::Answer(Answer {
        status,
        headers,
        body,
    }))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Ipv4Addr, TcpListener};

    use rustix::event::{EventfdFlags, eventfd};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use ureq::tls::{Certificate, RootCerts};

    use super::*;
    use crate::hosts::AllowedHost;

    /// Bytes of an answer: more than any buffer on its way has.
    const LENGTH: usize = 1 << 20;

    /// A server with a certificate that it gave itself, for as many connections as come; where it is, and what it shows.
    fn server(name: &str) -> (u16, Vec<u8>) {
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = own.cert.der().clone();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)
                .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut lines = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
                let mut head = String::new();
                // Whoever does not trust it hangs up in the middle.
                while !head.ends_with("\r\n\r\n")
                    && lines.read_line(&mut head).is_ok_and(|length| length > 0)
                {}
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n{}",
                    "x".repeat(LENGTH)
                );
                let _ = lines.get_mut().write_all(answer.as_bytes());
                let _ = lines.get_mut().flush();
            }
        });
        (port, certificate.to_vec())
    }

    fn send(port: u16, roots: RootCerts) -> Result<Fetched, ureq::Error> {
        let head = format!(r#"{{"url":"https://localhost:{port}/"}}"#);
        let order = Order::read(head.as_bytes()).unwrap();
        let host: AllowedHost = "localhost".parse().unwrap();
        let halt = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
        let tls = TlsConfig::builder().root_certs(roots).build();
        order
            .send(b"", &Hosts::from(&[host][..]), &halt, tls)
            .and_then(|response| take_in(response, MOST_ANSWER))
    }

    #[test]
    fn what_is_no_request_is_refused_with_what_is_wrong_and_no_password() {
        for (head, why) in [
            (
                r#"{"url":"http://me:secret@a.example/","method":"CONNECT"}"#,
                "no such method",
            ),
            (
                r#"{"url":"http://a.example/","method":"PROPFIND"}"#,
                "no such method",
            ),
            (r#"{"url":"http://me:secret@a.example/a b"}"#, "invalid"),
            (
                r#"{"url":"http://a.example/","headers":{"X-A":"a\r\nB: c"}}"#,
                "`x-a` has no such value",
            ),
            (
                r#"{"url":"http://a.example/","headers":{"X A":"a"}}"#,
                "is no header",
            ),
            (r#"{"url":1}"#, "was given no request"),
        ] {
            let error = Order::read(head.as_bytes()).err().expect(head);
            assert!(error.contains(why), "{head}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let order = Order::read(br#"{"url":"http://a.example/","headers":{"Host":"b","X-A":"c"}}"#);
        assert_eq!(order.ok().unwrap().headers.len(), 1);
    }

    fn trusting(certificate: &[u8]) -> RootCerts {
        RootCerts::Specific(Arc::new(vec![
            Certificate::from_der(certificate).to_owned(),
        ]))
    }

    #[test]
    fn a_server_that_is_vouched_for_is_spoken_with() {
        let (port, certificate) = server("localhost");
        let Ok(Fetched::Answer(answer)) = send(port, trusting(&certificate)) else {
            panic!("no answer")
        };
        assert_eq!((answer.status, answer.body), (200, vec![b'x'; LENGTH]));
    }

    #[test]
    fn one_that_nobody_vouches_for_is_not() {
        let (port, _) = server("localhost");
        let error = send(port, RootCerts::WebPki).unwrap_err().to_string();
        assert!(error.contains("UnknownIssuer"), "{error}");
    }

    #[test]
    fn nor_is_one_that_shows_another_name() {
        let (port, certificate) = server("example.com");
        let error = send(port, trusting(&certificate)).unwrap_err().to_string();
        assert!(error.contains("not valid for name"), "{error}");
    }

    #[test]
    fn without_being_told_otherwise_it_is_the_built_in_list_that_vouches() {
        assert!(matches!(
            TlsConfig::default().root_certs(),
            RootCerts::WebPki
        ));
        assert!(!TlsConfig::default().disable_verification());
    }
}
