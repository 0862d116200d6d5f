//! Hearing what is published, over a connection of its own that is made anew when it ends.

use std::convert::Infallible;
use std::time::Duration;

use chassis::backoff::Backoff;
use futures_util::StreamExt;
use redis::RedisResult;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::sleep;

use super::Redis;
use super::link::{closed, within};
use super::script::slot;

/// How often the subscription is asked whether it lives.
const PING: Duration = Duration::from_secs(5);

/// Waits between attempts to subscribe.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What a subscription brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It has begun, or begun again: what was published before was not heard.
    Begun,
    /// Somebody published this.
    Message(Vec<u8>),
}

impl Redis {
    /// Hears what is published on `channel`, for ever: drop it to stop. Nothing may hang on
    /// a message: those that are published while there is no connection are not heard.
    pub async fn hear(&self, channel: &str, mut each: impl FnMut(Heard)) -> Infallible {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            match self.subscribe(channel).await {
                Ok((sink, messages)) => {
                    backoff.reset();
                    each(Heard::Begun);
                    let error = self.hear_on(sink, messages, &mut each).await;
                    tracing::debug!(channel, %error, "a subscription ended; subscribing again");
                }
                Err(error) => tracing::debug!(channel, %error, "cannot subscribe"),
            }
            sleep(backoff.next()).await;
        }
    }

    async fn subscribe(&self, channel: &str) -> RedisResult<(PubSubSink, PubSubStream)> {
        // What is published anywhere in a Cluster is heard everywhere: any of its servers does.
        let client = self.client_of(slot(channel));
        let client = client.ok_or_else(|| closed("nobody has the hash slot"))?;
        let mut subscription = within(self.deadline(), client.get_async_pubsub()).await?;
        within(self.deadline(), subscription.subscribe(channel)).await?;
        Ok(subscription.split())
    }

    /// Until the subscription ends or does not answer; says why.
    async fn hear_on(
        &self,
        mut sink: PubSubSink,
        mut messages: PubSubStream,
        each: &mut impl FnMut(Heard),
    ) -> redis::RedisError {
        let hearing = async {
            while let Some(message) = messages.next().await {
                each(Heard::Message(message.get_payload_bytes().to_vec()));
            }
            closed("the connection was closed")
        };
        let asking = async {
            loop {
                sleep(PING).await;
                if let Err(error) = within(self.deadline(), sink.ping::<redis::Value>()).await {
                    return error;
                }
            }
        };
        tokio::select! {
            error = hearing => error,
            error = asking => error,
        }
    }
}
