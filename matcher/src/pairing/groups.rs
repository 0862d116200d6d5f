//! Tickets that can meet at all: of one version, with the same attributes. Each such group has a
//! number, which comes first in the order of the queue, so that a search sees its own group only.

use std::collections::HashMap;

use crate::ticket::{Attributes, Ticket, Version};

/// A number of a group. It means nothing but which tickets are together.
pub(super) type Group = u32;

/// The group of those that have neither.
const PLAIN: Group = 0;

/// The groups that tickets of a queue are in.
#[derive(Debug, Default)]
pub(super) struct Groups {
    known: HashMap<(Option<Version>, Attributes), (Group, usize)>,
    last: Group,
}

impl Groups {
    /// The group of one more ticket.
    pub(super) fn take(&mut self, ticket: &Ticket) -> Group {
        if is_plain(ticket) {
            return PLAIN;
        }
        let Self { known, last } = self;
        let (group, users) = known.entry(traits(ticket)).or_insert_with(|| {
            *last += 1;
            (*last, 0)
        });
        *users += 1;
        *group
    }

    /// A ticket is gone.
    pub(super) fn give_back(&mut self, ticket: &Ticket) {
        if is_plain(ticket) {
            return;
        }
        let traits = traits(ticket);
        if let Some((_, users)) = self.known.get_mut(&traits) {
            *users -= 1;
            if *users == 0 {
                self.known.remove(&traits);
            }
        }
    }
}

fn is_plain(ticket: &Ticket) -> bool {
    ticket.version.is_none() && ticket.attributes.is_empty()
}

fn traits(ticket: &Ticket) -> (Option<Version>, Attributes) {
    (ticket.version.clone(), ticket.attributes.clone())
}
