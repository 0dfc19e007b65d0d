//! Names become addresses here, and what is not allowed goes no further.
//!
//! The client asks for the addresses of each place that it is about to connect to, those that a server sends it on to
//! included. So this is where the list of hosts is held against it: there is no other way to a connection.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::event::PollFlags;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::transport::{Woken, over, wait};
use crate::hosts::Hosts;

/// Finds the addresses of what is allowed.
#[derive(Debug)]
pub(super) struct Lookup {
    hosts: Hosts,
    halt: Arc<OwnedFd>,
}

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// Names that are looked up at once in this process. The system cannot be told to stop: a lookup that nobody waits for
/// any more ends when the system gives up, after some seconds, and until then it has a thread.
const MOST_AT_ONCE: usize = 64;

static AT_ONCE: AtomicUsize = AtomicUsize::new(0);

impl Lookup {
    pub(super) fn new(hosts: Hosts, halt: Arc<OwnedFd>) -> Self {
        Self { hosts, halt }
    }

    /// Asks the system for the addresses of a name, in a thread of its own, since that cannot be interrupted.
    fn ask(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let Some(place) = Place::take() else {
            let why = format!("{MOST_AT_ONCE} names are being looked up already: try again later");
            return Err(io::Error::other(why).into());
        };
        let (answer, heard) = crossbeam_channel::bounded(1);
        // It hangs up at its end, however that comes about.
        let (done, line) = io::pipe()?;
        let name = name.to_owned();
        std::thread::Builder::new()
            .name("cofferdam-lookup".to_owned())
            .spawn(move || {
                let found = (name.as_str(), port).to_socket_addrs();
                let _ = answer.send(found.map(|found| found.take(MOST_ADDRESSES).collect()));
                drop((place, line));
            })?;
        match wait(&done, PollFlags::IN, &self.halt, None)? {
            Woken::Over => Err(over()),
            Woken::Ready | Woken::TimedOut => {
                Ok(heard.try_recv().map_err(|_| Error::HostNotFound)??)
            }
        }
    }
}

impl Resolver for Lookup {
    fn resolve(&self, url: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        self.hosts
            .admit(url)
            .map_err(|stranger| Error::Other(Box::new(stranger)))?;
        let usual = match url.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let port = url.port_u16().unwrap_or(usual);
        let name = url.host().unwrap_or_default();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.ask(name, port)?,
        };
        let mut addresses = self.empty();
        for address in &found {
            addresses.push(*address);
        }
        match found.is_empty() {
            true => Err(Error::HostNotFound),
            false => Ok(addresses),
        }
    }
}

/// One of the lookups that there may be.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let one_more = |taken| (taken < MOST_AT_ONCE).then_some(taken + 1);
        let taken = AT_ONCE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        taken.is_ok().then_some(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        AT_ONCE.fetch_sub(1, Ordering::SeqCst);
    }
}
