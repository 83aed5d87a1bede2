//! Work that takes long and is nobody's decision: fetching, checking, folding. Each piece runs on
//! a worker and tells the loop when it is done.

use super::{arrival::Arrival, site::Site, states::States};
use crate::{
    cli::told,
    net::{FetchError, FetchReport, Net},
    store::{Blobs, StoreError},
};
use anyhow::Context;
use archipel_protocol::{
    charter::Plan,
    codec::{Update, decode, validate},
    fold::{fold_owned, manifest_after, sights},
    fragments::Fragments,
    ids::{BlobHash, MemberId, Root},
    layout::Layout,
    member::{FetchFault, FetchTask, FoldTask, Folded, Input, StateTask},
    state::{Manifest, Tensors},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, spawn_blocking},
    time::sleep,
};

/// How long to wait for a cut's payload that was lost, each time it did not come.
const REPLENISHING: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// Tensors of a state fetched at a time.
const TENSORS_AT_ONCE: usize = 4;

/// What workers share. Clones share it too.
#[derive(Clone)]
pub(super) struct Workshop {
    shared: Arc<Shared>,
}

struct Shared {
    me: MemberId,
    plan: Plan,
    layout: Layout,
    fragments: Fragments,
    states: Arc<States>,
    blobs: Blobs,
    net: Net,
    inbox: mpsc::Sender<Arrival>,
}

/// Why a state could not be had.
#[derive(Debug, thiserror::Error)]
enum StateFetchError {
    /// A tensor came from nobody.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The disk failed.
    #[error(transparent)]
    Disk(anyhow::Error),
}

impl Workshop {
    pub fn new(
        site: &Site,
        states: Arc<States>,
        blobs: Blobs,
        net: Net,
        inbox: mpsc::Sender<Arrival>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                me: site.me(),
                plan: site.plan().clone(),
                layout: site.layout.clone(),
                fragments: site.fragments.clone(),
                states,
                blobs,
                net,
                inbox,
            }),
        }
    }

    /// Fetches a payload, unless it is here, checks it and makes it durable.
    pub fn fetch(&self, task: FetchTask) -> AbortHandle {
        let shared = self.shared.clone();
        let work = async move {
            let payload = task.payload;
            let arrival = match shared.obtain(task).await {
                Ok(outcome) => Arrival::Fetched(payload, Input::Fetched { payload, outcome }),
                Err(error) => Arrival::Fatal(error),
            };
            shared.tell(arrival).await;
        };
        tokio::spawn(work).abort_handle()
    }

    /// Folds a cut into the next state and makes that durable.
    pub fn fold(&self, task: FoldTask) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            if task.attempt > 0 {
                // A member that folded wrongly once may hold a damaged state.
                let donors = task.membership.voters();
                shared.mend(task.base, donors).await;
            }
            shared
                .tell(match shared.fold_all(Arc::new(task)).await {
                    Ok(folded) => Arrival::Input(Input::Folded(Box::new(folded))),
                    Err(error) => Arrival::Fatal(error.context("folding a cut")),
                })
                .await;
        });
    }

    /// Fetches the tensors of a state that are not here, and makes the state durable.
    pub fn fetch_state(&self, task: StateTask) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let root = task.root;
            let arrival = match shared.obtain_state(task).await {
                Ok(()) => Arrival::Input(Input::StateFetched {
                    root,
                    complete: true,
                }),
                Err(StateFetchError::Fetch(error)) => {
                    tracing::info!("state {}: {error}", root.short());
                    Arrival::Input(Input::StateFetched {
                        root,
                        complete: false,
                    })
                }
                Err(StateFetchError::Disk(error)) => Arrival::Fatal(error),
            };
            shared.tell(arrival).await;
        });
    }
}

impl Shared {
    async fn tell(&self, arrival: Arrival) {
        // A loop that is gone needs no result.
        let _ = self.inbox.send(arrival).await;
    }

    async fn obtain(self: &Arc<Self>, task: FetchTask) -> anyhow::Result<Result<(), FetchFault>> {
        let limits = self.plan.limits();
        if task.bytes > limits.max_payload_bytes {
            let (found, most) = (task.bytes, limits.max_payload_bytes);
            let reason = format!("{found} bytes, the plan allows {most}");
            return Ok(Err(FetchFault::Invalid(reason)));
        }
        let (worker, here) = (self.clone(), task.payload);
        let kept = blocking(move || worker.kept_payload(&here, task.bytes)).await?;
        let (bytes, is_new) = match kept {
            Some(bytes) => (bytes, false),
            None => {
                let fetched = self.net.fetch(task.payload, task.bytes, task.holders);
                match fetched.await {
                    Ok(outcome) => {
                        log_refusals(&outcome.report);
                        (outcome.bytes, true)
                    }
                    Err(error) => {
                        tracing::debug!("{error}");
                        return Ok(Err(FetchFault::Unavailable));
                    }
                }
            }
        };
        let (worker, round) = (self.clone(), task.round);
        blocking(move || {
            let (codec, layout) = (worker.plan.codec(), &worker.fragments.of(round).layout);
            if let Err(error) = validate(codec, &bytes, layout, &limits) {
                return Ok(Err(FetchFault::Invalid(error.to_string())));
            }
            if is_new {
                let hash = worker.blobs.put(&bytes).context("keeping a payload")?;
                let noted = worker.blobs.note(&hash, super::PAYLOAD, round);
                noted.context("keeping a payload")?;
            }
            Ok(Ok(()))
        })
        .await
    }

    /// A payload that is here already; one that was damaged is not.
    fn kept_payload(&self, hash: &BlobHash, bytes: u64) -> anyhow::Result<Option<Vec<u8>>> {
        if self.blobs.len(hash).context("looking for a payload")? != Some(bytes) {
            return Ok(None);
        }
        match self.blobs.read_all(hash, bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => {
                tracing::warn!("{error}; it is fetched again");
                Ok(None)
            }
        }
    }

    /// Folds a cut; payloads that the disk lost since they were held are fetched again first.
    async fn fold_all(self: &Arc<Self>, task: Arc<FoldTask>) -> anyhow::Result<Folded> {
        for wait in REPLENISHING {
            let (worker, cut) = (self.clone(), task.clone());
            match blocking(move || worker.fold(&cut)).await {
                Err(error) if is_lost_payload(&error) => {
                    tracing::warn!("{}", told(&error));
                    self.replenish(&task).await?;
                }
                folded => return folded,
            }
            sleep(wait).await;
        }
        let (worker, cut) = (self.clone(), task.clone());
        blocking(move || worker.fold(&cut)).await
    }

    /// Fetches what is missing of a cut from whoever has it.
    async fn replenish(self: &Arc<Self>, task: &FoldTask) -> anyhow::Result<()> {
        for update in &task.updates {
            let voters = task.membership.voters().into_iter();
            let others = voters.filter(|id| *id != update.member);
            let holders = [update.member].into_iter().chain(others);
            let fetched = self.obtain(FetchTask {
                round: task.round,
                member: update.member,
                payload: update.payload,
                bytes: update.bytes,
                holders: holders.filter(|id| *id != self.me).collect(),
            });
            match fetched.await? {
                Ok(()) => {}
                Err(FetchFault::Invalid(reason)) => {
                    tracing::warn!("payload {}: {reason}", update.payload);
                }
                Err(FetchFault::Unavailable) => tracing::warn!(
                    "payload {} came from nobody; it is asked for again",
                    update.payload
                ),
            }
        }
        Ok(())
    }

    fn fold(&self, task: &FoldTask) -> anyhow::Result<Folded> {
        let (_, state) = self.states.load(&task.base)?;
        let (codec, limits) = (self.plan.codec(), self.plan.limits());
        let layout = &self.fragments.of(task.round).layout;
        let mut updates: Vec<(u64, Update)> = Vec::with_capacity(task.updates.len());
        for input in &task.updates {
            let bytes = self.blobs.read_all(&input.payload, input.bytes)?;
            let update = decode(codec, &bytes, layout, &limits)
                .with_context(|| format!("payload {} was checked before", input.payload))?;
            updates.push((input.tokens, update));
        }
        let borrowed: Vec<(u64, &Update)> =
            updates.iter().map(|(n, update)| (*n, update)).collect();
        let sights = sights(&self.fragments, task.round, &state, &borrowed);
        let folding = fold_owned(&self.plan, &self.fragments, task.round, state, &borrowed);
        let manifest = manifest_after(&self.layout, task, &folding.tensors);
        self.states.save(&manifest, &folding.tensors)?;
        Ok(Folded {
            round: task.round,
            attempt: task.attempt,
            manifest,
            weights: folding.weights,
            sights,
            aggregate: folding.aggregate,
            voided: folding.voided,
        })
    }

    async fn obtain_state(self: &Arc<Self>, task: StateTask) -> Result<(), StateFetchError> {
        if self.states.contains(&task.root) {
            let (worker, root) = (self.clone(), task.root);
            let checked = blocking(move || Ok(worker.states.check(&root)?)).await;
            if checked.is_ok_and(|checked| checked.damaged.is_empty()) {
                return Ok(());
            }
        }
        let manifest = &task.manifest;
        let tensors = Tensors {
            parameters: self.section(&manifest.parameters, &task.donors).await?,
            momentum: self.section(&manifest.momentum, &task.donors).await?,
            aggregate: self.section(&manifest.aggregate, &task.donors).await?,
        };
        let (worker, manifest) = (self.clone(), task.manifest);
        blocking(move || Ok(worker.states.save(&manifest, &tensors)?))
            .await
            .map(drop)
            .map_err(StateFetchError::Disk)
    }

    /// One vector of a state, from what is here and from the donors.
    async fn section(
        self: &Arc<Self>,
        hashes: &[BlobHash],
        donors: &[MemberId],
    ) -> Result<Vec<f32>, StateFetchError> {
        let mut jobs = Vec::with_capacity(hashes.len());
        for (tensor, hash) in hashes.iter().enumerate() {
            let bytes = 4 * self.layout.range(tensor).len() as u64;
            jobs.push(self.clone().tensor(*hash, bytes, donors.to_vec()));
        }
        let tensors: Vec<Vec<f32>> = stream::iter(jobs)
            .buffered(TENSORS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(tensors.concat())
    }

    async fn tensor(
        self: Arc<Self>,
        hash: BlobHash,
        bytes: u64,
        donors: Vec<MemberId>,
    ) -> Result<Vec<f32>, StateFetchError> {
        let worker = self.clone();
        let kept = blocking(move || Ok(worker.states.tensor(&hash))).await;
        if let Some(values) = kept.map_err(StateFetchError::Disk)? {
            return Ok(values);
        }
        let outcome = self.net.fetch(hash, bytes, donors).await?;
        log_refusals(&outcome.report);
        Ok(super::states::values_of(&outcome.bytes))
    }

    /// Compares a state with its manifest, and fetches what the disk has damaged.
    async fn mend(self: &Arc<Self>, root: Root, donors: Vec<MemberId>) {
        let text = match self.try_mend(root, donors).await {
            Ok(0) => return,
            Ok(count) => format!(
                "{count} tensors of state {} had other bytes than were written: the disk damaged \
                 them. They were fetched again",
                root.short()
            ),
            Err(error) => format!("state {} is damaged: {}", root.short(), told(&error)),
        };
        let kind = "damage";
        self.tell(Arrival::Remark { kind, text }).await;
    }

    async fn try_mend(
        self: &Arc<Self>,
        root: Root,
        donors: Vec<MemberId>,
    ) -> anyhow::Result<usize> {
        let worker = self.clone();
        let checked = blocking(move || Ok(worker.states.check(&root)?)).await?;
        let (manifest, mut tensors): (Manifest, Tensors) = (checked.manifest, checked.tensors);
        let count = checked.damaged.len();
        if count == 0 {
            return Ok(0);
        }
        let donors: Vec<MemberId> = donors.into_iter().filter(|id| *id != self.me).collect();
        for (section, tensor, hash) in checked.damaged {
            let range = self.layout.range(tensor);
            let bytes = 4 * range.len() as u64;
            let values = self.clone().tensor(hash, bytes, donors.clone()).await?;
            let vector = match section {
                0 => &mut tensors.parameters,
                1 => &mut tensors.momentum,
                _ => &mut tensors.aggregate,
            };
            vector[range].copy_from_slice(&values);
        }
        let worker = self.clone();
        blocking(move || Ok(worker.states.save(&manifest, &tensors)?)).await?;
        Ok(count)
    }
}

/// Whether an error says that a payload is not here with all its bytes.
fn is_lost_payload(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(StoreError::BlobMissing { .. } | StoreError::BlobDamaged { .. })
        )
    })
}

/// Runs blocking work on a worker thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    spawn_blocking(work).await.context("a worker panicked")?
}

fn log_refusals(report: &FetchReport) {
    for (member, refusal) in &report.refused {
        tracing::warn!("{} sent wrong bytes: {refusal}", member.short());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_the_disk_lost_is_no_reason_to_end() {
        let (hash, path) = (BlobHash([1; 32]), std::path::PathBuf::from("blobs/b3"));
        let missing = StoreError::BlobMissing {
            hash,
            path: path.clone(),
        };
        let damaged = StoreError::BlobDamaged {
            path: path.clone(),
            expected: hash,
            found: BlobHash([2; 32]),
        };
        for lost in [missing, damaged] {
            assert!(is_lost_payload(
                &anyhow::Error::new(lost).context("folding")
            ));
        }
        let stopped = anyhow::Error::new(StoreError::Stopped { path });
        assert!(!is_lost_payload(&stopped));
    }
}
