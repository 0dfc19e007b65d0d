//! Names become addresses here, and what is not allowed goes no further.
//!
//! The client asks for the addresses of each place that it is about to connect to, those that a server sends it on to
//! included. So this is where the list of hosts is held against it: there is no other way to a connection.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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

/// Names that are looked up at once for the jobs of one pool; others wait. The system cannot be told to stop: a lookup
/// that nobody waits for any more ends when the system gives up, after some seconds, and until then it has a thread.
const MOST_AT_ONCE: usize = 64;

/// From one look at whether a place is free to the next.
const PAUSE: Duration = Duration::from_millis(10);

impl Lookup {
    pub(super) fn new(hosts: Hosts, halt: Arc<OwnedFd>) -> Self {
        Self { hosts, halt }
    }

    /// Asks the system for the addresses of a name, in a thread of its own, since that cannot be interrupted.
    fn ask(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let (answer, heard) = crossbeam_channel::bounded(1);
        // It hangs up at its end, however that comes about.
        let (done, line) = io::pipe()?;
        let place = loop {
            if let Some(place) = Place::take(self.hosts.lookups()) {
                break place;
            }
            if let Woken::Over = wait(&done, PollFlags::IN, &self.halt, Some(PAUSE))? {
                return Err(over());
            }
        };
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
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let one_more = |taken| (taken < MOST_AT_ONCE).then_some(taken + 1);
        taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .ok()
            .map(|_| Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    #[test]
    fn who_finds_every_place_taken_waits_until_one_is_free_or_the_job_is_over() {
        let hosts = Hosts::default();
        let mut places: Vec<Place> = (0..MOST_AT_ONCE)
            .map(|_| Place::take(hosts.lookups()).unwrap())
            .collect();
        assert!(Place::take(hosts.lookups()).is_none());
        // Another list has places of its own.
        assert!(Place::take(Hosts::default().lookups()).is_some());
        let halt = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
        let lookup = |halt: &Arc<OwnedFd>| Lookup::new(hosts.clone(), Arc::clone(halt));
        let asking = lookup(&halt);
        let asked = std::thread::spawn(move || asking.ask("127.0.0.1", 80));
        std::thread::sleep(5 * PAUSE);
        assert!(!asked.is_finished());
        drop(places.pop());
        assert_eq!(asked.join().unwrap().unwrap().len(), 1);

        places.push(Place::take(hosts.lookups()).unwrap());
        let asking = lookup(&halt);
        let asked = std::thread::spawn(move || asking.ask("127.0.0.1", 80));
        rustix::io::write(&*halt, &1u64.to_ne_bytes()).unwrap();
        assert!(asked.join().unwrap().is_err());
        drop(places);
        assert_eq!(hosts.lookups().load(Ordering::SeqCst), 0);
    }
}
