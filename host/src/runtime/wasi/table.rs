//! What a job has open beside its standard streams, by the numbers that a guest of preview 1 has for it.

use rustix::io::Errno;

use super::StoreState;
use super::opened::{Descriptor, MOST_OPEN};
use super::streams::STDERR;
use crate::folder::Grants;

/// The first number after the streams'.
const FIRST: i32 = STDERR + 1;

/// Descriptors by their numbers. The folders that were granted come first.
pub(in crate::runtime) struct Table {
    places: Vec<Option<Descriptor>>,
    granted: usize,
}

impl Table {
    fn new(grants: &Grants) -> Self {
        Self {
            places: Descriptor::granted(grants).map(Some).collect(),
            granted: grants.as_slice().len(),
        }
    }

    /// That of the job, if any folder was granted.
    pub(super) fn of(state: &mut StoreState) -> Option<&mut Self> {
        let grants = state.grants.as_ref()?;
        Some(
            state
                .job
                .files
                .get_or_insert_with(|| Box::new(Self::new(grants))),
        )
    }

    fn place(fd: i32) -> Result<usize, Errno> {
        let place = fd.checked_sub(FIRST).map(usize::try_from);
        place.and_then(Result::ok).ok_or(Errno::BADF)
    }

    pub(super) fn get(&mut self, fd: i32) -> Result<&mut Descriptor, Errno> {
        let there = self.places.get_mut(Self::place(fd)?);
        there.and_then(Option::as_mut).ok_or(Errno::BADF)
    }

    /// The same, to use it and no more.
    pub(super) fn look(&self, fd: i32) -> Result<&Descriptor, Errno> {
        let there = self.places.get(Self::place(fd)?);
        there.and_then(Option::as_ref).ok_or(Errno::BADF)
    }

    /// Whether a job may open another one.
    ///
    /// # Errors
    /// [`Errno::MFILE`]
    pub(super) fn has_room(&self) -> Result<(), Errno> {
        match self.places.iter().flatten().count() < self.granted + MOST_OPEN {
            true => Ok(()),
            false => Err(Errno::MFILE),
        }
    }

    /// Enters what was opened, under the lowest number that is free.
    pub(super) fn enter(&mut self, descriptor: Descriptor) -> Result<i32, Errno> {
        self.has_room()?;
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or(self.places.len());
        if place == self.places.len() {
            self.places.push(None);
        }
        self.places[place] = Some(descriptor);
        let number = i32::try_from(place).map_err(|_| Errno::MFILE)?;
        Ok(number + FIRST)
    }

    pub(super) fn close(&mut self, fd: i32) -> Result<(), Errno> {
        self.get(fd)?;
        self.places[Self::place(fd)?] = None;
        Ok(())
    }

    /// Moves one to the number of another, which is closed.
    pub(super) fn renumber(&mut self, from: i32, to: i32) -> Result<(), Errno> {
        self.get(from)?;
        self.get(to)?;
        let moved = self.places[Self::place(from)?].take();
        self.places[Self::place(to)?] = moved;
        Ok(())
    }
}
