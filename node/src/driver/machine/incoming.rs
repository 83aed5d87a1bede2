//! What comes in: from the network, from workers, from operators.

use super::Machine;
use crate::{
    control::{Answer, Request},
    driver::arrival::Arrival,
    net::{MessageHandle, NetEvent, Verdict},
};
use archipel_protocol::{ids::MemberId, member::Input, message::Message};
use std::sync::Arc;

impl Machine {
    pub(super) fn on_net(&mut self, event: NetEvent) -> anyhow::Result<()> {
        match event {
            NetEvent::Gossip {
                from,
                origin,
                bytes,
                handle,
            } => self.on_gossip((from, origin), &bytes, handle),
            NetEvent::Direct { from, bytes } => self.handle(Input::Bytes { from, bytes }),
            NetEvent::Misbehaved { member, what } => {
                self.parts.reporter.refuse(member, what.to_string());
                Ok(())
            }
            NetEvent::Damaged { hash, found } => {
                let text = format!("blob {hash} has bytes that hash to {found}");
                self.parts.reporter.incident("damage", text);
                Ok(())
            }
            NetEvent::Listening(address) => {
                tracing::info!("listening on {address}");
                Ok(())
            }
            NetEvent::Connected(member) => {
                tracing::info!("{} is connected", self.parts.reporter.name(&member));
                Ok(())
            }
            NetEvent::Disconnected(member) => {
                tracing::info!("{} is gone", self.parts.reporter.name(&member));
                Ok(())
            }
            NetEvent::Refused(refused) => {
                let text = self.refused(&refused);
                match refused.times {
                    1 => self.parts.reporter.incident("gate", text),
                    _ => tracing::warn!("{text}"),
                }
                Ok(())
            }
            NetEvent::SecondNode { folder } => {
                let text = format!(
                    "a second node with this site's key was started in {}, and turned away: one \
                     key is for one node",
                    folder.display()
                );
                self.parts.reporter.incident("key", text);
                Ok(())
            }
            NetEvent::ShutOut {
                member,
                address,
                answer,
                times,
            } => {
                let text = self.shut_out((&member, &address), &answer, times);
                match times {
                    2 => self.parts.reporter.incident("gate", text),
                    _ => tracing::warn!("{text}"),
                }
                Ok(())
            }
            NetEvent::Subscribed(_) | NetEvent::Reachable(_) => Ok(()),
        }
    }

    /// Forwards what can be read, whatever it says; what cannot is the sender's fault.
    fn on_gossip(
        &mut self,
        (from, origin): (MemberId, MemberId),
        bytes: &[u8],
        handle: MessageHandle,
    ) -> anyhow::Result<()> {
        let message = Message::from_bytes(bytes);
        let verdict = match &message {
            Ok(_) => Verdict::Accept,
            Err(_) => Verdict::Reject,
        };
        if let Err(error) = self.parts.net.report(handle, verdict) {
            tracing::debug!("not forwarded: {error}");
        }
        match message {
            Ok(message) => self.handle(Input::Message {
                from: origin,
                message: Arc::new(message),
            }),
            Err(error) => {
                self.parts.reporter.refuse(from, error.to_string());
                Ok(())
            }
        }
    }

    pub(super) fn on_arrival(&mut self, arrival: Arrival) -> anyhow::Result<()> {
        let reporter = &mut self.parts.reporter;
        match arrival {
            Arrival::Input(input) => {
                match &input {
                    Input::Trained(trained) => reporter.trained(trained),
                    Input::StateFetched { root, .. } => {
                        self.fetching_state.remove(root);
                    }
                    _ => {}
                }
                return self.handle(input);
            }
            Arrival::Fetched(payload, input) => {
                self.fetching.remove(&payload);
                return self.handle(input);
            }
            Arrival::Progress {
                round,
                step,
                steps,
                loss_nats,
            } => reporter.progress((round, step, steps), loss_nats),
            Arrival::Encoding(round) => reporter.encoding(round),
            Arrival::TrainingFailed { round, reason } => reporter.not_training(round, &reason),
            Arrival::Evaluated {
                round,
                bits_per_byte,
            } => reporter.evaluated(round, bits_per_byte),
            Arrival::Remark { kind, text } => reporter.incident(kind, text),
            Arrival::Fatal(error) => return Err(error),
        }
        Ok(())
    }

    /// Answers an operator.
    pub(super) fn answer(&mut self, request: Request) -> anyhow::Result<Answer> {
        if let Request::Status = request {
            return Ok(Answer::Status(Box::new(self.status())));
        }
        if let Request::Amendments = request {
            return Ok(Answer::amendments(&self.parts.member));
        }
        if let Request::Propose(proposal) = &request {
            for (member, address) in proposal.addresses() {
                self.note_unsent(self.parts.net.add_address(member, address));
            }
        }
        let wish = match request.wish(&self.parts.net.me(), &self.parts.member) {
            Ok(wish) => wish,
            Err(error) => return Ok(Answer::Error(error)),
        };
        self.handle(Input::Operator(wish))?;
        Ok(request.outcome(&self.parts.member))
    }
}
