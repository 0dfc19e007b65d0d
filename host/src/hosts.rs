//! Hosts that a guest may fetch from: named by whoever makes the pool, and looked at by the host's process alone.
//!
//! A guest may fetch from nowhere unless somebody names a host. The list stays in the host: a worker process never sees
//! it, and what it asks for is compared with it where the connection is made.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use crate::mail::printable;

/// A host that a guest may fetch from, by `http` and `https`; see [`PoolBuilder::allow_host`](crate::PoolBuilder::allow_host).
///
/// As text it is a name (`example.com`), every name under one (`*.example.com`, at any depth, but not `example.com`
/// itself), or an address (`127.0.0.1`, `[::1]`), and a port behind a colon if it is only that port. Without one every
/// port is meant, as in Extism's manifests.
///
/// ```
/// use cofferdam::AllowedHost;
///
/// let host: AllowedHost = "API.example.com:8443".parse()?;
/// assert_eq!(host.to_string(), "api.example.com:8443");
/// assert!("*".parse::<AllowedHost>().is_err());
/// # Ok::<(), cofferdam::HostError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AllowedHost {
    /// In small letters; an address of version 6 in brackets, in the one form that it has.
    name: String,
    /// Whether the names under it are meant in its place.
    under: bool,
    port: Option<u16>,
}

/// Why a host cannot be allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The text is not understood.
    #[error("--allow-host {text}: {why}")]
    Syntax {
        /// What was given.
        text: String,
        /// What is wrong with it, and what would be right.
        why: &'static str,
    },
    /// The guest is of a kind that fetches nothing.
    #[error("--allow-host: {guest} is {kind}, which fetches nothing: hosts go with Extism plugins")]
    NoUse {
        /// The guest's name.
        guest: String,
        /// What it is.
        kind: String,
    },
}

/// The longest name that the system of names has, in bytes.
const LONGEST: usize = 253;

impl FromStr for AllowedHost {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let refused = |why| HostError::Syntax {
            text: printable(text),
            why,
        };
        if text.contains("://") {
            return Err(refused(
                "that is an address of a page: give its host alone, as example.com or localhost:8080",
            ));
        }
        let (name, port) = split(text).ok_or_else(|| {
            refused(
                "behind the colon stands a port, from 1 to 65535: give one, or leave the colon out",
            )
        })?;
        let (under, name) = match name.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, name),
        };
        if name == "*" || (under && name.is_empty()) {
            return Err(refused(
                "that would be every host there is: name those that are meant, or *.example.com for all under one name",
            ));
        }
        if name.contains('*') {
            return Err(refused(
                "a star stands at the beginning, with a dot behind it: *.example.com",
            ));
        }
        let name = match name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
        {
            Some(address) => match address.parse::<Ipv6Addr>() {
                Ok(address) if !under => format!("[{address}]"),
                _ => return Err(refused("between brackets stands an address, as [::1]")),
            },
            None => name.to_ascii_lowercase(),
        };
        if !name.starts_with('[') && !is_name(&name) {
            return Err(refused(
                "give a name or an address and nothing else, as example.com, 127.0.0.1 or [::1]; other letters as they travel, as xn--bcher-kva.example",
            ));
        }
        if under && is_of_numbers(&name) {
            return Err(refused(
                "there are no names under an address: name it whole",
            ));
        }
        Ok(Self { name, under, port })
    }
}

/// A host and its port, if one is given; `None` for what is no port.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        // The colons of an address in brackets.
        Some((_, rest)) if rest.ends_with(']') => Some((text, None)),
        Some((name, port)) => {
            let digits = port.bytes().all(|digit| digit.is_ascii_digit());
            let port = port.parse().ok().filter(|&port| port > 0 && digits)?;
            Some((name, Some(port)))
        }
        None => Some((text, None)),
    }
}

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_sign = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_sign)
    };
    name.len() <= LONGEST && name.split('.').all(is_label)
}

/// Whether it is read as an address of version 4.
fn is_of_numbers(name: &str) -> bool {
    name.rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|sign| sign.is_ascii_digit()))
}

impl fmt::Display for AllowedHost {
    /// As it is given on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.under { "*." } else { "" })?;
        f.write_str(&self.name)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for AllowedHost {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        text.parse()
    }
}

impl From<AllowedHost> for String {
    fn from(host: AllowedHost) -> Self {
        host.to_string()
    }
}

impl AllowedHost {
    fn is(&self, name: &str, port: u16) -> bool {
        let is_named = match self.under {
            false => name == self.name,
            true => name
                .strip_suffix(&*self.name)
                .and_then(|above| above.strip_suffix('.'))
                .is_some_and(|above| !above.is_empty()),
        };
        is_named && self.port.is_none_or(|own| own == port)
    }
}

/// All hosts that a guest may fetch from. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    list: Arc<[AllowedHost]>,
    /// Names that are looked up at this moment for whoever has this list.
    lookups: Arc<AtomicUsize>,
}

/// The same list, whoever looks names up by it.
impl PartialEq for Hosts {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Hosts {}

/// Why a place is not one of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stranger {
    /// It is reached in another way, or is no place at all.
    #[error("{0} is not possible: an address begins with http:// or https://, and a host follows")]
    NoPlace(String),
    /// Nobody named it.
    #[error("{url} is not allowed: give --allow-host {host}")]
    NotNamed {
        /// What was asked for.
        url: String,
        /// What would allow it.
        host: String,
    },
}

impl From<&[AllowedHost]> for Hosts {
    fn from(hosts: &[AllowedHost]) -> Self {
        Self {
            list: hosts.into(),
            lookups: Arc::default(),
        }
    }
}

impl Hosts {
    /// How many names are looked up at this moment.
    pub(crate) fn lookups(&self) -> &Arc<AtomicUsize> {
        &self.lookups
    }

    /// Whether a guest may fetch from there.
    ///
    /// # Errors
    /// Where nobody named it.
    pub(crate) fn admit(&self, url: &Uri) -> Result<(), Stranger> {
        let port = match url.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(Stranger::NoPlace(shown(url))),
        };
        let host = url.host().filter(|host| !host.is_empty());
        let Some((host, own)) = host.and_then(|host| Some((host, port_of(url, host)?))) else {
            return Err(Stranger::NoPlace(shown(url)));
        };
        let port = own.unwrap_or(port);
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let name = match bare.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
            Some(address) => format!("[{address}]"),
            None => host.to_ascii_lowercase(),
        };
        if self.list.iter().any(|allowed| allowed.is(&name, port)) {
            return Ok(());
        }
        let named = match own {
            Some(port) => format!("{name}:{port}"),
            None => name,
        };
        Err(Stranger::NotNamed {
            url: shown(url),
            host: printable(&named),
        })
    }
}

/// The port that stands behind the host of an address, if any does; `None` where something else stands there, which the
/// client would pass over and take the usual port.
fn port_of(url: &Uri, host: &str) -> Option<Option<u16>> {
    let place = url.authority()?.as_str();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    match place.strip_prefix(host)? {
        "" => Some(None),
        rest => {
            let digits = rest.strip_prefix(':')?;
            let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
            let port = digits.parse().ok().filter(|&port| is_number && port > 0)?;
            Some(Some(port))
        }
    }
}

/// The most signs of an address that are told.
const MOST_SHOWN: usize = 200;

/// An address as it may be shown, without what stands before an `@`: a password may.
pub(crate) fn shown(url: &Uri) -> String {
    let text = match url.authority() {
        Some(authority) => {
            let host = authority.as_str();
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            let scheme = url.scheme_str().unwrap_or_default();
            let rest = url.path_and_query().map_or("", |rest| rest.as_str());
            format!("{scheme}://{host}{rest}")
        }
        None => url.to_string(),
    };
    shortened(&text)
}

/// Anybody's text, as far as it is told.
pub(crate) fn shortened(text: &str) -> String {
    let kept: String = text.chars().take(MOST_SHOWN).collect();
    printable(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(texts: &[&str]) -> Hosts {
        let hosts: Vec<AllowedHost> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Hosts::from(&*hosts)
    }

    fn admits(list: &[&str], url: &str) -> bool {
        hosts(list).admit(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn what_is_given_is_written_again() {
        for text in [
            "example.com",
            "*.example.com",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]",
            "[2001:db8::7]:65535",
        ] {
            assert_eq!(text.parse::<AllowedHost>().unwrap().to_string(), text);
        }
        let loud: AllowedHost = "Example.COM".parse().unwrap();
        assert_eq!(loud.to_string(), "example.com");
        let read = |text: &str| serde_json::from_str::<AllowedHost>(text);
        assert_eq!(read(r#""example.com""#).unwrap().to_string(), "example.com");
        assert!(read(r#""*""#).is_err());
        let long: AllowedHost = "[0:0:0:0:0:0:0:1]:80".parse().unwrap();
        assert_eq!(long.to_string(), "[::1]:80");
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_way_out() {
        for (text, why) in [
            ("", "give a name or an address"),
            ("*", "every host there is"),
            ("*.", "every host there is"),
            ("*:80", "every host there is"),
            ("a.*.com", "a star stands at the beginning"),
            ("*example.com", "a star stands at the beginning"),
            ("*.*.com", "a star stands at the beginning"),
            ("http://example.com", "give its host alone"),
            ("example.com/", "give a name or an address"),
            ("user@example.com", "give a name or an address"),
            ("example.com.", "give a name or an address"),
            ("exam ple.com", "give a name or an address"),
            ("bücher.example", "xn--"),
            ("example.com:", "behind the colon stands a port"),
            ("example.com:0", "behind the colon stands a port"),
            ("example.com:+80", "behind the colon stands a port"),
            ("example.com:65536", "behind the colon stands a port"),
            ("example.com:http", "behind the colon stands a port"),
            ("::1", "give a name or an address"),
            ("[example.com]", "between brackets stands an address"),
            ("*.[::1]", "between brackets stands an address"),
            ("*.0.0.1", "no names under an address"),
        ] {
            let error = text.parse::<AllowedHost>().unwrap_err().to_string();
            assert!(error.starts_with("--allow-host"), "{text}: {error}");
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_name_is_that_name_and_every_port_of_it() {
        for url in [
            "http://example.com/",
            "https://EXAMPLE.com",
            "http://example.com:8080/path?query",
            "http://user:password@example.com/",
        ] {
            assert!(admits(&["example.com"], url), "{url}");
        }
        for url in [
            "http://www.example.com/",
            "http://example.com.evil.example/",
            "http://notexample.com/",
            "http://example.com@evil.example/",
            "http://evil.example/example.com",
            "http://evil.example?example.com",
            "http://example.com./",
        ] {
            assert!(!admits(&["example.com"], url), "{url}");
        }
    }

    #[test]
    fn a_port_is_that_port_alone() {
        assert!(admits(&["localhost:8080"], "http://localhost:8080/"));
        assert!(!admits(&["localhost:8080"], "http://localhost/"));
        assert!(!admits(&["localhost:8080"], "http://localhost:80801/"));
        assert!(admits(&["localhost:80"], "http://localhost/"));
        for url in [
            "http://localhost:80801/",
            "http://localhost:+80/",
            "http://localhost:0/",
            "http://[a@localhost]/",
        ] {
            let is_admitted = |url: Uri| hosts(&["localhost:80", "localhost"]).admit(&url).is_ok();
            assert!(!url.parse().is_ok_and(is_admitted), "{url}");
        }
        assert!(admits(&["localhost:443"], "https://localhost/"));
        assert!(!admits(&["localhost:80"], "https://localhost/"));
    }

    #[test]
    fn a_star_is_every_name_under_another_and_not_that_itself() {
        for url in ["http://a.example.com/", "http://a.b.example.com/"] {
            assert!(admits(&["*.example.com"], url), "{url}");
        }
        for url in [
            "http://example.com/",
            "http://.example.com/",
            "http://aexample.com/",
            "http://a.example.com.evil.example/",
        ] {
            assert!(
                !url.parse::<Uri>()
                    .is_ok_and(|url| hosts(&["*.example.com"]).admit(&url).is_ok()),
                "{url}"
            );
        }
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written_in_version_6_and_only_so_in_version_4() {
        assert!(admits(&["[::1]:80"], "http://[0:0::1]/"));
        assert!(admits(&["127.0.0.1"], "http://127.0.0.1/"));
        for url in ["http://127.1/", "http://2130706433/", "http://0x7f.0.0.1/"] {
            assert!(!admits(&["127.0.0.1"], url), "{url}");
        }
    }

    #[test]
    fn only_two_ways_lead_anywhere() {
        for url in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "/etc/passwd",
            "example.com:80",
            "socks5://example.com/",
        ] {
            assert!(
                !url.parse::<Uri>()
                    .is_ok_and(|url| hosts(&["example.com"]).admit(&url).is_ok()),
                "{url}"
            );
        }
    }

    #[test]
    fn what_would_allow_it_is_said_and_no_password() {
        let refused = |url: &str| {
            hosts(&[])
                .admit(&url.parse().unwrap())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused("http://me:secret@Example.org/a"),
            "http://Example.org/a is not allowed: give --allow-host example.org"
        );
        assert!(refused("http://example.org:81/").ends_with("give --allow-host example.org:81"));
    }
}
