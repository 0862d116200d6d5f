//! What scripts answer.

use std::sync::Arc;
use std::time::Duration;

use engine::EngineError;
use protocol::time::Timestamp;
use serde::de::DeserializeOwned;

use super::Reply;
use crate::store::{
    Asking, Disagreement, Found, Gathered, Gathering, PrivateMember, PrivateRoom, Standing,
};
use crate::ticket::{Attributes, Member, PartyCode, Ticket};

/// Answers, if there is one for each thing that was asked.
pub(super) fn in_order<T>(
    operation: &'static str,
    asked: usize,
    answers: Result<Vec<T>, EngineError>,
) -> Result<Vec<T>, EngineError> {
    let answers = answers?;
    if answers.len() != asked {
        return Err(damaged(operation));
    }
    Ok(answers)
}

/// Tickets, without those that cannot be read: they are of a later release, and matched by it.
pub(super) fn legible(operation: &'static str, jsons: &[String]) -> Vec<Arc<Ticket>> {
    let tickets = jsons.iter().filter_map(|json| parse(operation, json).ok());
    tickets.map(Arc::new).collect()
}

pub(super) fn kind(reply: &Reply) -> &str {
    reply.first().map_or("", String::as_str)
}

pub(super) fn standing(operation: &'static str, reply: &[String]) -> Result<Standing, EngineError> {
    let fields: Vec<&str> = reply.iter().map(String::as_str).collect();
    match fields[..] {
        ["nothing"] => Ok(Standing::Nothing),
        ["ticket", json, by, ref asking @ ..] => {
            let claimed_by = match by {
                "" => None,
                by => Some(by.parse().map_err(|_| damaged(operation))?),
            };
            Ok(Standing::Ticket(Found {
                ticket: Arc::new(parse(operation, json)?),
                claimed_by,
                asking: self::asking(operation, asking)?,
            }))
        }
        ["gathering", ..] => Ok(Standing::Gathering(gathering(operation, reply)?)),
        ["private", ..] => Ok(Standing::Private(private_room(operation, reply)?)),
        ["match", json] => Ok(Standing::Match(Arc::new(parse(operation, json)?))),
        _ => Err(damaged(operation)),
    }
}

pub(super) fn private_room(
    operation: &'static str,
    reply: &[String],
) -> Result<PrivateRoom, EngineError> {
    let [_, code, mode, most, members @ ..] = reply else {
        return Err(damaged(operation));
    };
    let member = |pair: &[String]| match pair {
        [member, ready] => Ok(PrivateMember {
            member: parse(operation, member)?,
            ready: ready == "1",
        }),
        _ => Err(damaged(operation)),
    };
    Ok(PrivateRoom {
        code: PartyCode::new(code),
        mode: mode.parse().map_err(|_| damaged(operation))?,
        most: most.parse().map_err(|_| damaged(operation))?,
        members: members.chunks(2).map(member).collect::<Result<_, _>>()?,
    })
}

fn asking(operation: &'static str, fields: &[&str]) -> Result<Option<Asking>, EngineError> {
    match fields {
        [] => Ok(None),
        [left, accepted] => Ok(Some(Asking {
            left: Duration::from_millis(left.parse().map_err(|_| damaged(operation))?),
            accepted: *accepted == "1",
        })),
        _ => Err(damaged(operation)),
    }
}

pub(super) fn duration(
    operation: &'static str,
    millis: Option<&String>,
) -> Result<Duration, EngineError> {
    let millis = millis.and_then(|millis| millis.parse().ok());
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| damaged(operation))
}

pub(super) fn gathering(
    operation: &'static str,
    reply: &[String],
) -> Result<Gathering, EngineError> {
    let [
        _,
        code,
        mode,
        size,
        present,
        regions,
        since,
        version,
        attributes,
        member,
    ] = reply
    else {
        return Err(damaged(operation));
    };
    Ok(Gathering {
        code: PartyCode::new(code),
        mode: mode.parse().map_err(|_| damaged(operation))?,
        size: size.parse().map_err(|_| damaged(operation))?,
        present: present.parse().map_err(|_| damaged(operation))?,
        regions: parse(operation, regions)?,
        version: match version.as_str() {
            "" => None,
            version => Some(version.parse().map_err(|_| damaged(operation))?),
        },
        attributes: match attributes.as_str() {
            "" => Attributes::new(),
            attributes => parse(operation, attributes)?,
        },
        roles: parse::<Member>(operation, member)?.roles,
        since: Timestamp(since.parse().map_err(|_| damaged(operation))?),
    })
}

pub(super) fn gathered(operation: &'static str, reply: &Reply) -> Result<Gathered, EngineError> {
    match (kind(reply), reply.get(1).map(String::as_str)) {
        ("gathering", _) => Ok(Gathered::Gathering(gathering(operation, reply)?)),
        ("complete", Some(json)) => Ok(Gathered::Complete(Arc::new(parse(operation, json)?))),
        ("kept", _) => Ok(Gathered::Kept(standing(operation, &reply[1..])?)),
        ("mismatch", Some("mode")) => Ok(Gathered::Mismatch(Disagreement::Mode)),
        ("mismatch", Some("size")) => Ok(Gathered::Mismatch(Disagreement::Size)),
        ("mismatch", Some("full")) => Ok(Gathered::Mismatch(Disagreement::Full)),
        ("mismatch", Some("version")) => Ok(Gathered::Mismatch(Disagreement::Version)),
        ("mismatch", Some("attributes")) => Ok(Gathered::Mismatch(Disagreement::Attributes)),
        ("mismatch", Some("regions")) => Ok(Gathered::Mismatch(Disagreement::Regions)),
        ("full", _) => Ok(Gathered::Full),
        ("cooling", _) => Ok(Gathered::Cooling(duration(operation, reply.get(1))?)),
        _ => Err(damaged(operation)),
    }
}

pub(super) fn parse<T: DeserializeOwned>(
    operation: &'static str,
    json: &str,
) -> Result<T, EngineError> {
    serde_json::from_str(json).map_err(|error| {
        tracing::error!(operation, %error, "what the ticket store holds cannot be read");
        damaged(operation)
    })
}

pub(super) fn damaged(operation: &'static str) -> EngineError {
    EngineError::Damaged {
        operation,
        detail: "no release has written this".to_owned(),
    }
}
