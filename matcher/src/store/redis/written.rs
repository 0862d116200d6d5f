//! What calls hand to scripts, and what scripts write as it is.

use std::time::Duration;

use engine::redis::Call;
use protocol::id::PlayerId;
use serde::Serialize;

use crate::store::MatchRecord;
use crate::ticket::{Attributes, Member, Ticket, Version};

/// What is written: the form, and what is in it.
#[derive(Serialize)]
struct Written<'a, T> {
    v: u8,
    #[serde(flatten)]
    content: &'a T,
}

/// The form that this release writes. It reads all that have its fields.
const FORM: u8 = 1;

/// A ticket, for the script that adds it.
pub(super) fn push_ticket(call: &mut Call, ticket: &Ticket) {
    call.push(ticket.id.to_string());
    call.push(written(ticket));
    call.push(ticket.mode.as_str());
    call.push(ticket.rating());
    call.push(names(&ticket.members));
    let Some(code) = &ticket.party else {
        call.push("");
        call.push(0);
        return;
    };
    call.push(code.as_str());
    call.push(4 + 2 * ticket.members.len());
    call.push(json(&ticket.regions));
    call.push(ticket.enqueued_at.0);
    call.push(ticket.version.as_ref().map_or("", Version::as_str));
    call.push(attributes(&ticket.attributes));
    for member in &ticket.members {
        call.push(json(member));
        call.push(member.rating);
    }
}

/// A match, for the scripts that keep it.
pub(super) fn about(call: Call, record: &MatchRecord, lifetime: Duration) -> Call {
    call.arg(record.id.to_string())
        .arg(record.room.to_string())
        .arg(written(record))
        .arg(names(&record.players))
        .arg(list(&record.tickets))
        .arg(millis(lifetime).max(1))
}

pub(super) fn written<T: Serialize>(content: &T) -> String {
    json(&Written { v: FORM, content })
}

/// Attributes as scripts compare them: always in the same order, and nothing for none.
pub(super) fn attributes(attributes: &Attributes) -> String {
    match attributes.is_empty() {
        true => String::new(),
        false => json(attributes),
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored has string keys only")
}

pub(super) fn names(members: &[Member]) -> String {
    let players: Vec<PlayerId> = members.iter().map(|member| member.player).collect();
    list(&players)
}

pub(super) fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(" ")
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
