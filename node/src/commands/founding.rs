//! The demo's federation: members' folders, a charter that all of them signed, data for each.
//!
//! Everything here is what a person does with `init`, `charter` and `data`, in one go.

mod admission;
mod reopening;

use super::generate::continued;
use crate::{
    cli::{read_plan, write_new_file},
    config::{CHARTER_FILE, CONFIG_FILE, KEY_FILE, NodeConfig, SecretKey},
    demo::{
        DemoArgs, FoundedRun, Founding, MemberSetup, Sample,
        corpus::{Corpus, Document, order1_entropy},
        figures::{bytes, grouped},
    },
    driver::{HOLDOUT_FILE, model_of},
};
use anyhow::Context;
use archipel_protocol::{
    charter::{
        Charter, CharterMember, FaultModel, MemberRole, Plan, SignedCharter,
        plan::{self, DataClass, DataManifest, DataPlan},
    },
    ids::{BlobHash, Round},
    random::derive_key,
};
use archipel_trainer::{
    Sampling,
    data::{DataClass as Class, Format, PrepareOptions, SourceOptions, Tokenizer, prepare},
};
use libp2p::Multiaddr;
use std::{
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

/// What the demo's sample begins with.
const PROMPT: &str = "\n";
/// Bytes of the sample.
const SAMPLE_BYTES: usize = 400;
/// The folder of prepared data in a member's folder.
const DATA_FOLDER: &str = "data";
/// The shortest and the longest deadline of a round, in milliseconds.
const DEADLINES_MS: (u64, u64) = (5_000, 20_000);
/// Times that a free port is looked for.
const PORT_ATTEMPTS: usize = 64;

/// Founds federations whose members are all on this machine.
#[derive(Clone, Copy, Debug)]
pub struct LocalFederation;

impl Founding for LocalFederation {
    fn reopen(&self, dir: &Path, args: &DemoArgs) -> anyhow::Result<Option<FoundedRun>> {
        reopening::reopen(dir, args)
    }

    fn found(
        &self,
        dir: &Path,
        names: &[String],
        corpus: &Corpus,
        args: &DemoArgs,
    ) -> anyhow::Result<FoundedRun> {
        let plan = plan(corpus, args, names.len())?;
        settle(dir, names, corpus, (plan, args)).with_context(|| {
            format!(
                "cannot found a federation in {}; is there room, and may it be written to? Else \
                 name another folder with --dir",
                dir.display()
            )
        })
    }

    fn admit(&self, dir: &Path, round: Round) -> anyhow::Result<MemberSetup> {
        admission::admit(dir, round)
    }

    fn sample(&self, dir: &Path) -> anyhow::Result<Sample> {
        let checkpoint = dir.join("member-1");
        let tokenizer = Tokenizer::Bytes;
        let sampling = Sampling {
            temperature: 0.8,
            top_k: 40,
            tokens: tokenizer.vocabulary(),
            seed: derive_key("archipel/sample/v1", &[]),
        };
        let text = continued(&checkpoint, PROMPT, SAMPLE_BYTES, &sampling, &tokenizer)?;
        Ok(Sample {
            prompt: "a line's end".to_owned(),
            text: String::from_utf8_lossy(&text).into_owned(),
            checkpoint,
        })
    }
}

/// Makes the members' folders, keys, data, and the charter that all of them sign.
fn settle(
    dir: &Path,
    names: &[String],
    corpus: &Corpus,
    (mut plan, args): (Plan, &DemoArgs),
) -> anyhow::Result<FoundedRun> {
    if let Some(seed) = args.seed {
        let text = format!("Whoever knows --seed {seed} knows every key in this folder.\n");
        write_new_file(&dir.join("KEYS-ARE-INSECURE.txt"), &text)?;
    }
    let keys = names.iter().map(|name| key(name, args.seed));
    let keys: Vec<SecretKey> = keys.collect::<anyhow::Result<_>>()?;
    let ports = Ports::reserve(names.len())?;
    let mut setups = Vec::new();
    for (index, (name, key)) in names.iter().zip(&keys).enumerate() {
        let folder = dir.join(name);
        let listen = ports.addresses(index)?;
        furnish(&folder, name, key, listen, names.len())?;
        let hash = prepare_data(&folder, name, &corpus.members[index], &corpus.source)?;
        fs::write(folder.join(HOLDOUT_FILE), &corpus.heldout)?;
        plan.data.manifests.push(DataManifest {
            member: Some(name.clone()),
            hash,
            class: DataClass::Public,
        });
        setups.push(MemberSetup {
            name: name.clone(),
            dir: folder,
        });
    }
    let mut signed = SignedCharter::new(charter(plan, names, &keys, &ports, args)?);
    for key in &keys {
        signed.sign(&key.signer())?;
    }
    let text = signed.to_toml()?;
    for setup in &setups {
        write_new_file(&setup.dir.join(CHARTER_FILE), &text)?;
    }
    // Another program may take a port from here on; the node would say so.
    drop(ports);
    Ok(describe(&signed.charter, setups, corpus))
}

/// A member's key: from the seed, for runs that are to be repeated, or random.
fn key(name: &str, seed: Option<u64>) -> anyhow::Result<SecretKey> {
    Ok(match seed {
        Some(seed) => SecretKey::from_bytes(derive_key(
            "archipel/insecure-demo-key/v1",
            &[&seed.to_be_bytes(), name.as_bytes()],
        )),
        None => SecretKey::generate()?,
    })
}

/// Ports that nobody else takes while they are reserved.
struct Ports {
    held: Vec<(UdpSocket, TcpListener)>,
}

impl Ports {
    fn reserve(count: usize) -> anyhow::Result<Self> {
        let held: anyhow::Result<Vec<_>> = (0..count).map(|_| free_port()).collect();
        Ok(Self { held: held? })
    }

    fn addresses(&self, index: usize) -> anyhow::Result<Vec<Multiaddr>> {
        let port = self.held[index].0.local_addr()?.port();
        Ok(vec![
            format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse()?,
            format!("/ip4/127.0.0.1/tcp/{port}").parse()?,
        ])
    }
}

/// A port of the loopback that is free for both transports.
fn free_port() -> anyhow::Result<(UdpSocket, TcpListener)> {
    for _ in 0..PORT_ATTEMPTS {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
        let port = udp.local_addr()?.port();
        if let Ok(tcp) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok((udp, tcp));
        }
    }
    anyhow::bail!("no port of the loopback is free for both UDP and TCP: stop other programs")
}

fn plan(corpus: &Corpus, args: &DemoArgs, members: usize) -> anyhow::Result<Plan> {
    let mut plan = match &args.plan {
        Some(path) => read_plan(path)?,
        None => Plan::demo(),
    };
    anyhow::ensure!(
        plan.tokenizer == plan::Tokenizer::Bytes,
        "the demo prepares its text as bytes: set `tokenizer = \"bytes\"` and \
         `model.vocabulary = 256` in the plan, or found the federation with `archipel charter new`"
    );
    plan.rounds = args.round_count();
    plan.inner.total_steps = plan.rounds.saturating_mul(plan.inner.steps);
    plan.inner.warmup_steps = plan.inner.warmup_steps.min(plan.inner.total_steps);
    plan.timing.wait_all = args.wait_all;
    // All members share this machine, perhaps with other programs: rounds take unlike times.
    (
        plan.timing.deadline_floor_ms,
        plan.timing.deadline_ceiling_ms,
    ) = DEADLINES_MS;
    plan.data = DataPlan::default();
    plan.data.holdout = Some(BlobHash(*blake3::hash(&corpus.heldout).as_bytes()));
    plan.data.holdout_bytes = corpus.heldout.len() as u64;
    plan.validate(members, fault_model(members).quorum(members))?;
    Ok(plan)
}

fn charter(
    plan: Plan,
    names: &[String],
    keys: &[SecretKey],
    ports: &Ports,
    args: &DemoArgs,
) -> anyhow::Result<Charter> {
    let founding_nonce = match args.seed {
        Some(seed) => derive_key("archipel/insecure-demo-nonce/v1", &[&seed.to_be_bytes()]),
        None => *SecretKey::generate()?.secret_bytes(),
    };
    let mut members = Vec::new();
    for (index, (name, key)) in names.iter().zip(keys).enumerate() {
        let addresses = ports.addresses(index)?;
        members.push(CharterMember {
            id: key.member(),
            name: name.clone(),
            role: MemberRole::Member,
            addresses: addresses.iter().map(Multiaddr::to_string).collect(),
        });
    }
    Ok(Charter {
        name: "demo".to_owned(),
        founding_nonce,
        fault_model: fault_model(names.len()),
        threshold: None,
        plan,
        members,
    })
}

/// Below four nobody may lie, so two or three are founded as sites that trust each other.
fn fault_model(members: usize) -> FaultModel {
    match members {
        1..=3 => FaultModel::Crash,
        _ => FaultModel::Byzantine,
    }
}

/// Makes a member's folder, with key and configuration.
fn furnish(
    folder: &Path,
    name: &str,
    key: &SecretKey,
    listen: Vec<Multiaddr>,
    members: usize,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / members.max(1)).clamp(1, 8);
    let config = NodeConfig {
        name: name.to_owned(),
        key: PathBuf::from(KEY_FILE),
        listen,
        external: Vec::new(),
        data: Some(PathBuf::from(DATA_FOLDER)),
        threads: u16::try_from(threads).ok(),
        compress: None,
    };
    key.save(&folder.join(KEY_FILE), name)?;
    Ok(write_new_file(
        &folder.join(CONFIG_FILE),
        &config.to_toml(),
    )?)
}

/// Turns a member's documents into its data.
fn prepare_data(
    folder: &Path,
    name: &str,
    documents: &[Document],
    source: &str,
) -> anyhow::Result<BlobHash> {
    let texts = tempfile::Builder::new()
        .prefix("text-")
        .tempdir_in(folder)
        .with_context(|| folder.display().to_string())?;
    let mut paths = Vec::with_capacity(documents.len());
    for (number, document) in documents.iter().enumerate() {
        let path = texts.path().join(format!("{number:08}"));
        fs::write(&path, &document.text)?;
        paths.push(path);
    }
    let options = PrepareOptions {
        name: name.to_owned(),
        held_out_percent: 1,
        // The corpus was dealt out to the members as it is.
        deduplicate: false,
        ..PrepareOptions::default()
    };
    let source = SourceOptions {
        name: name.to_owned(),
        class: Class::Public,
        provenance: source.to_owned(),
        format: Format::Text,
        ..SourceOptions::of(paths)
    };
    let prepared = prepare(&[source], &folder.join(DATA_FOLDER), &options, &mut |_| {})?;
    prepared
        .manifest
        .hash()
        .parse()
        .context("the hash of a data manifest")
}

fn describe(charter: &Charter, members: Vec<MemberSetup>, corpus: &Corpus) -> FoundedRun {
    let text = format!(
        "{} from {}; {} held out",
        bytes(corpus.training_bytes() as u64),
        corpus.source,
        bytes(corpus.heldout.len() as u64)
    );
    run_of(charter, members, text, order1_entropy(&corpus.heldout))
}

/// The demo's view of a charter, at its beginning.
fn run_of(
    charter: &Charter,
    members: Vec<MemberSetup>,
    text: String,
    order1_entropy: f64,
) -> FoundedRun {
    let plan = &charter.plan;
    let model = model_of(plan);
    let parameters = plan.model.parameters();
    FoundedRun {
        run_id: charter.run_id(),
        members,
        first_round: Round(0),
        rounds: Round(plan.rounds),
        quorum: charter.quorum(),
        parameters,
        steps_per_round: plan.inner.steps,
        order1_entropy,
        first_bits_per_byte: None,
        model: format!(
            "{} parameters: {} layers of width {}, {} bytes of context; {}",
            grouped(parameters),
            model.layers,
            model.d_model,
            model.context,
            plan.codec()
        ),
        text,
    }
}
