// SPDX-License-Identifier: GPL-2.0

//! The engines of a client in fdinfo: its queues by name, with the time for which they were busy.
//!
//! The kernel's `Documentation/gpu/drm-usage-stats.rst` has the format. Queues with the same name
//! are one engine. An engine is listed until the file is closed, in the order in which the engines
//! were first used, because gputop identifies engines by their place in the list.

use crate::vfence::queue::name::QueueName;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// Most engines of a client: gputop aborts if it finds more.
const MAX_ENGINES: usize = 15;

/// The name of the engine of all queues whose own name comes too late.
const OTHER: QueueName = QueueName::from_c_str(c"other");

/// The engines of a client.
pub(crate) struct Engines(KVec<Engine>);

/// The queues with one name.
struct Engine {
    name: QueueName,
    queues: u32,
    /// The time in ns for which its destroyed queues were busy.
    destroyed: u64,
    /// The time in ns that was shown last, so that the next one is not less: a queue that is being
    /// destroyed is not in the client any more, and a reset may have begun before the last look.
    shown: u64,
}

impl Engines {
    /// Returns the engines of a client without queues.
    pub(crate) const fn new() -> Self {
        Self(KVec::new())
    }

    /// Adds a queue with the name `name`. Fails with `ENOMEM`.
    pub(crate) fn add(&mut self, name: &QueueName) -> Result {
        let mut name = name.as_key();
        if self.position(&name).is_none() && self.0.len() >= MAX_ENGINES - 1 {
            name = OTHER;
        }
        if self.position(&name).is_none() {
            let engine = Engine {
                name,
                queues: 0,
                destroyed: 0,
                shown: 0,
            };
            self.0.push(engine, GFP_KERNEL_ACCOUNT)?;
        }
        if let Some(engine) = self.find(&name) {
            engine.queues += 1;
        }
        Ok(())
    }

    /// Removes a queue that was busy for `busy` ns and is not any more.
    pub(crate) fn remove(&mut self, name: &QueueName, busy: u64) {
        if let Some(engine) = self.find(&name.as_key()) {
            engine.queues -= 1;
            engine.destroyed += busy;
        }
    }

    /// Calls `show` with the name of each engine, the number of its queues and the time in ns for
    /// which they have been busy. `queues` has the name of each queue, and its own time.
    ///
    /// There is always an engine, because gputop cannot compare two clients that have none.
    pub(crate) fn show<'a>(
        &mut self,
        queues: impl Iterator<Item = (&'a QueueName, u64)>,
        mut show: impl FnMut(&CStr, u32, u64),
    ) {
        if self.0.is_empty() {
            show(OTHER.as_c_str(), 0, 0);
        }
        let mut sums = [0; MAX_ENGINES];
        for (name, busy) in queues {
            if let Some(index) = self.index(&name.as_key()) {
                sums[index] += busy;
            }
        }
        for (engine, sum) in self.0.iter_mut().zip(sums) {
            engine.shown = engine.shown.max(engine.destroyed + sum);
            show(engine.name.as_c_str(), engine.queues, engine.shown);
        }
    }

    /// Returns the index of the engine with the name `name`.
    fn position(&self, name: &QueueName) -> Option<usize> {
        self.0.iter().position(|engine| engine.name == *name)
    }

    /// Returns the index of the engine of the queues with the name `name`.
    fn index(&self, name: &QueueName) -> Option<usize> {
        self.position(name).or_else(|| self.position(&OTHER))
    }

    fn find(&mut self, name: &QueueName) -> Option<&mut Engine> {
        let index = self.index(name)?;
        self.0.get_mut(index)
    }
}

#[kernel::macros::kunit_tests(vfence_engines)]
mod tests {
    use super::*;

    /// Returns the name of queue `id`.
    fn name(id: u32) -> Result<QueueName> {
        QueueName::from_user(&[0; QueueName::LEN], id)
    }

    fn named(name: &CStr) -> QueueName {
        QueueName::from_c_str(name)
    }

    /// Returns the number of queues and the time of the engine `wanted`, if it is shown.
    fn shown(
        engines: &mut Engines,
        queues: &[(QueueName, u64)],
        wanted: &CStr,
    ) -> Option<(u32, u64)> {
        let mut found = None;
        engines.show(
            queues.iter().map(|(name, busy)| (name, *busy)),
            |name, queues, busy| {
                if name == wanted {
                    found = Some((queues, busy));
                }
            },
        );
        found
    }

    #[test]
    fn client_without_queues_has_an_engine() {
        assert_eq!(shown(&mut Engines::new(), &[], c"other"), Some((0, 0)));
    }

    #[test]
    fn queues_with_one_name_are_one_engine() -> Result {
        let mut engines = Engines::new();
        let queues = [(named(c"a b"), 5), (named(c"c"), 7), (named(c"a_b"), 11)];
        for (name, _) in &queues {
            engines.add(name)?;
        }
        assert_eq!(shown(&mut engines, &queues, c"a_b"), Some((2, 16)));
        assert_eq!(shown(&mut engines, &queues, c"c"), Some((1, 7)));
        assert_eq!(shown(&mut engines, &queues, c"other"), None);
        Ok(())
    }

    #[test]
    fn time_of_destroyed_queues_is_kept() -> Result {
        let mut engines = Engines::new();
        let queues = [(named(c"a"), 5), (named(c"a"), 7)];
        for (name, _) in &queues {
            engines.add(name)?;
        }
        assert_eq!(shown(&mut engines, &queues, c"a"), Some((2, 12)));
        // Between the removal from the client and that from the engines.
        assert_eq!(shown(&mut engines, &queues[..1], c"a"), Some((2, 12)));
        engines.remove(&queues[1].0, 9);
        assert_eq!(shown(&mut engines, &queues[..1], c"a"), Some((1, 14)));
        engines.remove(&queues[0].0, 5);
        assert_eq!(shown(&mut engines, &[], c"a"), Some((0, 14)));
        Ok(())
    }

    #[test]
    fn names_that_come_too_late_share_an_engine() -> Result {
        let mut engines = Engines::new();
        let mut queues = KVec::new();
        for id in 1..=20 {
            engines.add(&name(id)?)?;
            queues.push((name(id)?, 100), GFP_KERNEL)?;
        }
        let mut count = 0;
        engines.show(core::iter::empty(), |_, _, _| count += 1);
        assert_eq!(count, MAX_ENGINES);
        assert_eq!(shown(&mut engines, &queues, c"queue14"), Some((1, 100)));
        assert_eq!(shown(&mut engines, &queues, c"queue15"), None);
        assert_eq!(shown(&mut engines, &queues, c"other"), Some((6, 600)));
        engines.remove(&name(20)?, 100);
        assert_eq!(shown(&mut engines, &queues[..19], c"other"), Some((5, 600)));
        Ok(())
    }
}
