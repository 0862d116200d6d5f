//! What clients say about private rooms.

use protocol::control::{ClientMessage, ErrorMessage};
use protocol::id::PlayerId;

use super::Desk;
use super::leaving::Leave;
use crate::event::Leaving;
use crate::store::PrivateChange;

impl Desk {
    /// A message about private rooms.
    pub(super) async fn private_message(
        &mut self,
        id: PlayerId,
        message: &ClientMessage,
    ) -> Result<(), ErrorMessage> {
        match message {
            ClientMessage::PrivateOpen(open) => self.open_private(id, open).await,
            ClientMessage::PrivateJoin(join) => self.join_private(id, &join.code).await,
            ClientMessage::PrivateReady(one) => {
                self.change_private(id, PrivateChange::Ready(one.ready))
                    .await
            }
            ClientMessage::PrivateKick(kick) => self.send_away(id, *kick).await,
            ClientMessage::PrivateStart(_) => self.start_private(id).await,
            _ => {
                self.leave_private(id, Some(Leaving::Left), Leave::Asked)
                    .await;
                Ok(())
            }
        }
    }
}

/// Whether a message is about private rooms.
pub(super) fn is_of_private_rooms(message: &ClientMessage) -> bool {
    matches!(
        message,
        ClientMessage::PrivateOpen(_)
            | ClientMessage::PrivateJoin(_)
            | ClientMessage::PrivateReady(_)
            | ClientMessage::PrivateKick(_)
            | ClientMessage::PrivateStart(_)
            | ClientMessage::PrivateLeave(_)
    )
}
