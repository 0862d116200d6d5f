//! Parties that gather, in the memory store.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::id::{PlayerId, TicketId};
use protocol::time::Timestamp;
use tokio::time::Instant;

use super::state::{Place, Spot, State};
use crate::config::{ModeName, Region};
use crate::store::{Disagreement, Gather, Gathered, Gathering, Sighting, Standing};
use crate::ticket::{Attributes, Member, PartyCode, Ticket, Version};

/// A party: gathering, or complete and on its ticket.
#[derive(Debug, Clone)]
pub(super) struct Party {
    mode: ModeName,
    size: u8,
    version: Option<Version>,
    attributes: Attributes,
    /// In the order in which they came.
    gatherers: Vec<Gatherer>,
    /// Its ticket, once it is complete.
    ticket: Option<TicketId>,
}

#[derive(Debug, Clone)]
struct Gatherer {
    member: Member,
    regions: BTreeMap<Region, u32>,
    since: Timestamp,
}

impl Party {
    /// The party that a ticket must have been made of. What each member measured is not known any
    /// more; all can play where the ticket could.
    pub(super) fn of(ticket: &Ticket) -> Self {
        let gatherer = |member: &Member| Gatherer {
            member: member.clone(),
            regions: ticket.regions.clone(),
            since: ticket.enqueued_at,
        };
        Self {
            mode: ticket.mode.clone(),
            size: ticket.size(),
            version: ticket.version.clone(),
            attributes: ticket.attributes.clone(),
            gatherers: ticket.members.iter().map(gatherer).collect(),
            ticket: Some(ticket.id),
        }
    }

    fn begin(gather: &Gather) -> Self {
        Self {
            mode: gather.mode.clone(),
            size: gather.size,
            version: gather.version.clone(),
            attributes: gather.attributes.clone(),
            gatherers: Vec::new(),
            ticket: None,
        }
    }

    /// Why somebody cannot come.
    fn objection(&self, gather: &Gather) -> Option<Disagreement> {
        if self.mode != gather.mode {
            return Some(Disagreement::Mode);
        }
        if self.size != gather.size {
            return Some(Disagreement::Size);
        }
        if self.version != gather.version {
            return Some(Disagreement::Version);
        }
        if self.attributes != gather.attributes {
            return Some(Disagreement::Attributes);
        }
        let full = self.ticket.is_some() || self.gatherers.len() >= usize::from(self.size);
        full.then_some(Disagreement::Full)
    }
}

impl State {
    pub(super) fn gather(
        &mut self,
        gather: &Gather,
        sighting: &Sighting,
        now: Instant,
    ) -> Gathered {
        let player = gather.member.player;
        match self.place_of(player, now) {
            Standing::Nothing => {}
            Standing::Gathering(gathering) if gathering.code == gather.code => {
                return Gathered::Gathering(gathering); // asked twice
            }
            Standing::Ticket(found) if found.ticket.id == gather.ticket => {
                return Gathered::Complete(found.ticket); // likewise
            }
            standing => return Gathered::Kept(standing),
        }
        if let Some(left) = self.cooling(player, now) {
            return Gathered::Cooling(left);
        }
        let mut party = self
            .parties
            .remove(&gather.code)
            .unwrap_or_else(|| Party::begin(gather));
        let objection = party.objection(gather);
        let gathered = match objection {
            Some(objection) => Gathered::Mismatch(objection),
            None => self.take_in(&mut party, gather, sighting, now),
        };
        if !party.gatherers.is_empty() {
            self.parties.insert(gather.code.clone(), party);
        }
        gathered
    }

    fn take_in(
        &mut self,
        party: &mut Party,
        gather: &Gather,
        sighting: &Sighting,
        now: Instant,
    ) -> Gathered {
        party.gatherers.push(Gatherer {
            member: gather.member.clone(),
            regions: gather.regions.clone(),
            since: gather.since,
        });
        let mut spot = Spot::Gathering(gather.code.clone());
        let mut gathered = Gathered::Gathering(party.seen_by_last(&gather.code));
        if party.gatherers.len() == usize::from(party.size) {
            let regions = common_regions(party.gatherers.iter().map(|one| &one.regions));
            let Some(regions) = regions else {
                party.gatherers.pop();
                return Gathered::Mismatch(Disagreement::Regions);
            };
            let ticket = Arc::new(party.complete(gather, regions));
            for member in &ticket.members {
                if let Some(place) = self.places.get_mut(&member.player) {
                    place.spot = Spot::Ticket(ticket.id);
                }
            }
            self.enqueue(&ticket);
            spot = Spot::Ticket(ticket.id);
            gathered = Gathered::Complete(ticket);
        }
        let place = Place::new(spot, sighting, now);
        self.places.insert(gather.member.player, place);
        gathered
    }

    /// A party, if it is not complete, as its member sees it.
    pub(super) fn gathering(&self, code: &PartyCode, player: PlayerId) -> Option<Gathering> {
        let party = self.parties.get(code)?;
        let one = party
            .gatherers
            .iter()
            .find(|one| one.member.player == player)?;
        Some(party.seen_by(code, one))
    }

    /// A member leaves.
    pub(super) fn leave_party(&mut self, code: &PartyCode, player: PlayerId) {
        let Some(party) = self.parties.get_mut(code) else {
            return;
        };
        party.gatherers.retain(|one| one.member.player != player);
        if party.gatherers.is_empty() {
            self.parties.remove(code);
        }
    }

    /// A party has lost its ticket: `player`, who stays, waits for others again.
    pub(super) fn gather_again(&mut self, code: &PartyCode, player: PlayerId, ticket: TicketId) {
        let is_in = |party: &mut Party| {
            if party.ticket == Some(ticket) {
                party.ticket = None;
            }
            let mut gatherers = party.gatherers.iter();
            party.ticket.is_none() && gatherers.any(|one| one.member.player == player)
        };
        let stays = self.parties.get_mut(code).is_some_and(is_in);
        match (stays, self.places.get_mut(&player)) {
            (true, Some(place)) => place.spot = Spot::Gathering(code.clone()),
            _ => drop(self.places.remove(&player)),
        }
    }

    /// The party of a ticket has its match.
    pub(super) fn disband(&mut self, code: &PartyCode, ticket: TicketId) {
        let party = self.parties.get(code);
        if party.is_some_and(|party| party.ticket == Some(ticket)) {
            self.parties.remove(code);
        }
    }
}

impl Party {
    fn complete(&mut self, gather: &Gather, regions: BTreeMap<Region, u32>) -> Ticket {
        self.ticket = Some(gather.ticket);
        for one in &mut self.gatherers {
            one.since = gather.enqueued_at;
        }
        Ticket {
            id: gather.ticket,
            mode: self.mode.clone(),
            members: self
                .gatherers
                .iter()
                .map(|one| one.member.clone())
                .collect(),
            party: Some(gather.code.clone()),
            private: None,
            regions,
            version: self.version.clone(),
            attributes: self.attributes.clone(),
            enqueued_at: gather.enqueued_at,
        }
    }

    fn seen_by(&self, code: &PartyCode, one: &Gatherer) -> Gathering {
        Gathering {
            code: code.clone(),
            mode: self.mode.clone(),
            size: self.size,
            present: u8::try_from(self.gatherers.len()).unwrap_or(u8::MAX),
            regions: one.regions.clone(),
            version: self.version.clone(),
            attributes: self.attributes.clone(),
            roles: one.member.roles.clone(),
            since: one.since,
        }
    }

    fn seen_by_last(&self, code: &PartyCode) -> Gathering {
        let last = self.gatherers.last();
        self.seen_by(code, last.expect("somebody has just come"))
    }
}

/// The regions that all members measured, each with the worst latency among them; those who
/// measured none go anywhere. `None` if the others have no region in common.
fn common_regions<'a>(
    members: impl Iterator<Item = &'a BTreeMap<Region, u32>>,
) -> Option<BTreeMap<Region, u32>> {
    let mut common: Option<BTreeMap<Region, u32>> = None;
    for regions in members.filter(|regions| !regions.is_empty()) {
        common = Some(match common {
            None => regions.clone(),
            Some(before) => before
                .into_iter()
                .filter_map(|(region, worst)| {
                    let latency = *regions.get(&region)?;
                    Some((region, worst.max(latency)))
                })
                .collect(),
        });
    }
    match common {
        Some(common) if common.is_empty() => None,
        common => Some(common.unwrap_or_default()),
    }
}
