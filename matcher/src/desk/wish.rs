//! What a player wishes for: out of a message, and back out of what the store shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::control::{ErrorCode, ErrorMessage, QueueJoin};
use protocol::id::{PlayerId, TicketId};
use protocol::time::Timestamp;

use super::party::PartyWish;
use super::player::{Player, Wish};
use super::receipts::Brought;
use crate::config::{Attribute, AttributeValue, Config, Mode, ModeName, Region, Role};
use crate::store::{Gather, Gathering};
use crate::ticket::{Attributes, Ticket, Version};

/// Most regions that a client may name.
const MAX_REGIONS: usize = 32;

impl Wish {
    /// Checks a wish for `mode`, by the regions that matches can be held in: empty if that is any.
    pub(super) fn parse(
        join: &QueueJoin,
        name: &ModeName,
        mode: &Mode,
        served: &BTreeSet<Region>,
    ) -> Result<Self, ErrorMessage> {
        let party = join.party.as_ref();
        Ok(Self {
            mode: name.clone(),
            regions: served_regions(&join.regions, served)?,
            party: party
                .map(|party| PartyWish::parse(party, mode))
                .transpose()?,
            version: version(join.version.as_deref(), mode)?,
            attributes: attributes(&join.attributes, mode)?,
            roles: roles(&join.roles, mode)?,
        })
    }

    /// The wish of a player that a ticket must have come of.
    pub(super) fn of_ticket(player: PlayerId, ticket: &Ticket) -> Self {
        let own = ticket.members.iter().find(|one| one.player == player);
        Self {
            roles: own.map(|own| own.roles.clone()).unwrap_or_default(),
            mode: ticket.mode.clone(),
            regions: ticket.regions.clone(),
            party: ticket.party.clone().map(|code| PartyWish {
                code,
                size: ticket.size(),
            }),
            version: ticket.version.clone(),
            attributes: ticket.attributes.clone(),
        }
    }

    /// The wish of a party's member.
    pub(super) fn of_gathering(gathering: &Gathering) -> Self {
        Self {
            roles: gathering.roles.clone(),
            mode: gathering.mode.clone(),
            regions: gathering.regions.clone(),
            party: Some(PartyWish {
                code: gathering.code.clone(),
                size: gathering.size,
            }),
            version: gathering.version.clone(),
            attributes: gathering.attributes.clone(),
        }
    }

    /// Whether `other` would wait at the same place. New latencies alone do not cost the place.
    pub(super) fn is_same_queue(&self, other: &Self) -> bool {
        let code = |wish: &Self| wish.party.as_ref().map(|party| party.code.clone());
        self.mode == other.mode
            && code(self) == code(other)
            && self.version == other.version
            && self.attributes == other.attributes
            && self.roles == other.roles
    }
}

/// A ticket of one player: a new one, or one that is brought back.
pub(super) fn solo(
    player: &Player,
    wish: &Wish,
    brought: Option<Brought>,
    now: Timestamp,
) -> Ticket {
    Ticket {
        id: brought.map_or_else(|| TicketId(rand::random()), |brought| brought.ticket),
        mode: wish.mode.clone(),
        members: vec![player.member(&wish.mode, &wish.roles)],
        party: None,
        private: None,
        regions: wish.regions.clone(),
        version: wish.version.clone(),
        attributes: wish.attributes.clone(),
        enqueued_at: brought.map_or(now, |brought| brought.since),
    }
}

/// One who comes to a party.
pub(super) fn coming(
    player: &Player,
    wish: &Wish,
    party: &PartyWish,
    since: Timestamp,
    now: Timestamp,
) -> Gather {
    Gather {
        code: party.code.clone(),
        mode: wish.mode.clone(),
        size: party.size,
        member: player.member(&wish.mode, &wish.roles),
        regions: wish.regions.clone(),
        version: wish.version.clone(),
        attributes: wish.attributes.clone(),
        since,
        ticket: TicketId(rand::random()),
        // A party's age begins when it is complete.
        enqueued_at: now,
    }
}

/// The mode of a name.
pub(super) fn find_mode<'a>(
    config: &'a Arc<Config>,
    name: &str,
) -> Result<(&'a ModeName, &'a Mode), ErrorMessage> {
    let parsed: Option<ModeName> = name.parse().ok();
    parsed
        .and_then(|name| config.modes.get_key_value(&name))
        .ok_or_else(|| {
            let known: Vec<_> = config.modes.keys().map(ModeName::as_str).collect();
            let message = format!("no such mode; there are {}", known.join(", "));
            ErrorMessage::new(ErrorCode::ModeUnknown, message).field("mode")
        })
}

/// The client's regions, as far as matches can be held there.
fn served_regions(
    measured: &BTreeMap<String, u32>,
    served: &BTreeSet<Region>,
) -> Result<BTreeMap<Region, u32>, ErrorMessage> {
    let refused =
        |message: String| Err(ErrorMessage::new(ErrorCode::BadField, message).field("regions"));
    if measured.len() > MAX_REGIONS {
        return refused(format!("at most {MAX_REGIONS} regions"));
    }
    let mut regions = BTreeMap::new();
    for (name, latency) in measured {
        match name.parse::<Region>() {
            Ok(region) if served.is_empty() || served.contains(&region) => {
                regions.insert(region, *latency);
            }
            Ok(_) => {}
            Err(error) => return refused(error.to_string()),
        }
    }
    if regions.is_empty() && !measured.is_empty() {
        let served: Vec<_> = served.iter().map(Region::as_str).collect();
        return refused(format!(
            "none of these regions is served; those that are: {}",
            served.join(", ")
        ));
    }
    Ok(regions)
}

/// The build that a client plays, if the mode keeps builds apart.
fn version(version: Option<&str>, mode: &Mode) -> Result<Option<Version>, ErrorMessage> {
    let parsed = version.map(str::parse::<Version>).transpose();
    let parsed = parsed.map_err(|error| {
        ErrorMessage::new(ErrorCode::BadField, error.to_string()).field("version")
    })?;
    Ok(parsed.filter(|_| mode.by_version))
}

fn attributes(named: &BTreeMap<String, String>, mode: &Mode) -> Result<Attributes, ErrorMessage> {
    let one = |(name, value): (&String, &String)| {
        let refused = |field: String, message: String| {
            Err(ErrorMessage::new(ErrorCode::BadField, message).field(field))
        };
        let known = name.parse::<Attribute>().ok();
        let Some((name, rule)) = known.and_then(|name| mode.attributes.get_key_value(&name)) else {
            let message = match mode.attributes.is_empty() {
                true => "this mode has no attributes".to_owned(),
                false => format!(
                    "no such attribute; there are {}",
                    listed(mode.attributes.keys().map(Attribute::as_str))
                ),
            };
            return refused("attributes".to_owned(), message);
        };
        let value = value.parse::<AttributeValue>().ok();
        match value.filter(|value| rule.values.contains(value)) {
            Some(value) => Ok((name.clone(), value)),
            None => refused(
                format!("attributes.{name}"),
                format!(
                    "no such value; there are {}",
                    listed(rule.values.iter().map(AttributeValue::as_str))
                ),
            ),
        }
    };
    named.iter().map(one).collect()
}

/// The roles that a client takes, the dearest first.
fn roles(named: &[String], mode: &Mode) -> Result<Vec<Role>, ErrorMessage> {
    let refused =
        |message: String| Err(ErrorMessage::new(ErrorCode::BadField, message).field("roles"));
    if mode.roles.is_empty() && !named.is_empty() {
        return refused("this mode has no roles".to_owned());
    }
    let mut roles = Vec::new();
    for name in named {
        let role = name.parse::<Role>().ok();
        match role.filter(|role| mode.roles.contains_key(role)) {
            Some(role) if roles.contains(&role) => {
                return refused(format!("{role} is named twice"));
            }
            Some(role) => roles.push(role),
            None => {
                let known = listed(mode.roles.keys().map(Role::as_str));
                return refused(format!("no such role; there are {known}"));
            }
        }
    }
    Ok(roles)
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
