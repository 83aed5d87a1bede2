//! Models that go to `transformers` and come from it compute the same logits on both sides.
//!
//! The other side is `tests/interchange/peer.py`, run by `$ARCHIPEL_PYTHON`, else `python3`. Where
//! that lacks torch or transformers, the tests say so and check nothing.

use archipel_node::driver::{STATES_FOLDER, States, model_of};
use archipel_protocol::{
    charter::{Charter, CharterMember, FaultModel, MemberRole, Plan, SignedCharter},
    ids::MemberId,
    ledger::Membership,
    random::{Stream, derive_key},
    state::{Manifest, Tensors},
};
use archipel_trainer::{
    Engine, LlamaEngine,
    data::byte_tokens,
    interchange::{TOKENIZER_FILE, byte_tokenizer_json, read_config},
    layout, read_checkpoint,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The largest difference between two logits.
const TOLERANCE: f64 = 1e-4;

fn peer(arguments: &[&str]) -> Output {
    let python = std::env::var_os("ARCHIPEL_PYTHON").unwrap_or_else(|| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/interchange/peer.py");
    let run = Command::new(&python).arg(script).args(arguments).output();
    run.unwrap_or_else(|error| panic!("cannot run {}: {error}", python.display()))
}

/// Whether there is another side. Past the test's capture, so that it is read where tests pass.
fn other_side(test: &str) -> bool {
    let python = std::env::var_os("ARCHIPEL_PYTHON").unwrap_or_else(|| "python3".into());
    let absent = Command::new(&python).arg("--version").output().is_err();
    let checked = (!absent).then(|| peer(&["check"]));
    let said = match &checked {
        Some(run) if run.status.success() => String::from_utf8_lossy(&run.stdout).into_owned(),
        _ => format!(
            "skipped: {} has no torch and transformers; set ARCHIPEL_PYTHON to one that has\n",
            python.display()
        ),
    };
    let line = format!("{test}: {said}");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("a place to say it");
    checked.is_some_and(|run| run.status.success())
}

/// What the other side answers to some jobs.
fn ask(folder: &Path, command: &str, jobs: &[Value]) -> Vec<Value> {
    let path = folder.join(format!("{command}.json"));
    fs::write(&path, json!(jobs).to_string()).expect("a temporary file");
    let run = peer(&[command, path.to_str().expect("a UTF-8 path")]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "peer.py {command}: {said}");
    serde_json::from_slice(&run.stdout).expect("one line of JSON")
}

fn archipel(arguments: &[&str]) -> Output {
    let run = Command::new(env!("CARGO_BIN_EXE_archipel"))
        .args(arguments)
        .output();
    run.expect("the binary runs")
}

fn archipel_does(arguments: &[&str]) -> String {
    let run = archipel(arguments);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{arguments:?}: {said}");
    String::from_utf8(run.stdout).expect("text")
}

fn contexts(context: usize) -> Vec<Vec<u8>> {
    let byte = |n: usize| (n * 37 + 11) as u8;
    let lengths = [1, 2, context / 2, context];
    let drawn = lengths.map(|length| (0..length).map(|n| byte(n * length)).collect());
    [vec![b"The".to_vec()], drawn.to_vec()].concat()
}

/// Logits of our engine for the model in a folder.
fn own_logits(folder: &Path, contexts: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let text = fs::read_to_string(folder.join("config.json")).expect("a shape");
    let config = read_config(&text).expect("a shape");
    let layout = layout(&config).expect("a layout");
    let (params, _) = read_checkpoint(&folder.join("model.safetensors"), &layout).expect("weights");
    let mut engine = LlamaEngine::new(&config, 1).expect("an engine");
    engine.load(&params).expect("finite weights");
    let each = contexts.iter().map(|context| {
        let logits = engine.next_token_logits(&byte_tokens(context));
        logits.expect("a context of bytes")
    });
    each.collect()
}

fn assert_same(name: &str, own: &[Vec<f32>], theirs: &Value) {
    let theirs = theirs["logits"].as_array().expect("logits");
    assert_eq!(own.len(), theirs.len());
    let (mut worst, mut largest) = (0.0f64, 0.0f64);
    for (own, theirs) in own.iter().zip(theirs) {
        let theirs = theirs.as_array().expect("logits of a context");
        assert_eq!(own.len(), theirs.len(), "{name}: vocabulary");
        for (own, theirs) in own.iter().zip(theirs) {
            let (own, theirs) = (f64::from(*own), theirs.as_f64().expect("a number"));
            worst = worst.max((own - theirs).abs());
            largest = largest.max(own.abs());
        }
    }
    assert!(largest > 0.5, "{name}: logits that say nothing: {largest}");
    assert!(worst <= TOLERANCE, "{name}: logits differ by {worst}");
    println!("{name}: logits up to {largest:.1} differ by at most {worst:.1e}");
}

/// A member's folder whose state has weights that make a difference.
fn member_folder(folder: &Path, plan: Plan) {
    let config = model_of(&plan);
    let layout = layout(&config).expect("a layout");
    let charter = Charter {
        name: "interchange".to_owned(),
        founding_nonce: [7; 32],
        fault_model: FaultModel::Crash,
        threshold: None,
        plan,
        members: vec![CharterMember {
            id: MemberId([1; 32]),
            name: "alpha".to_owned(),
            role: MemberRole::Member,
            addresses: Vec::new(),
        }],
    };
    let membership = Membership::founding(&charter);
    let run_id = charter.run_id();
    let mut params = Vec::with_capacity(layout.parameters());
    for spec in layout.tensors() {
        let mut stream = Stream::new(derive_key("interchange", &[spec.name.as_bytes()]));
        let (mean, deviation) = if spec.shape.len() == 1 {
            (1.0, 0.1)
        } else {
            (0.0, 0.15)
        };
        let draw = |_| mean + deviation * stream.normal_f32();
        params.extend((0..spec.parameters()).map(draw));
    }
    let tensors = Tensors::founding(&charter.plan, params);
    let manifest = Manifest::founding(&layout, &tensors, &membership);
    let text = SignedCharter::new(charter).to_toml().expect("TOML");
    fs::create_dir_all(folder.join(STATES_FOLDER)).expect("a folder");
    fs::write(folder.join("charter.toml"), text).expect("a charter");
    let states = States::open(folder.join(STATES_FOLDER), run_id, layout).expect("no states");
    states.save(&manifest, &tensors).expect("a state");
}

/// Name, width, layers, heads, key heads, tied.
const SHAPES: [(&str, u32, u32, u32, u32, bool); 4] = [
    ("plain", 64, 2, 4, 4, false),
    ("grouped", 64, 3, 8, 2, false),
    ("tied", 48, 2, 4, 4, true),
    ("grouped-and-tied", 64, 2, 4, 1, true),
];

#[test]
fn what_is_exported_computes_the_same_in_transformers() {
    if !other_side("export") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = |path: PathBuf| path.to_str().expect("a UTF-8 path").to_owned();
    let mut jobs = Vec::new();
    for (name, width, layers, heads, kv_heads, tied) in SHAPES {
        let mut plan = Plan::nano();
        let model = &mut plan.model;
        (model.d_model, model.layers, model.tied) = (width, layers, tied);
        (model.heads, model.kv_heads, model.context) = (heads, kv_heads, 48);
        model.rope_base = if tied { "500000" } else { "10000" }
            .parse()
            .expect("a decimal");
        let (dir, out) = (
            folder.path().join(name),
            folder.path().join(format!("{name}-hf")),
        );
        member_folder(&dir, plan);
        let (dir, out) = (text(dir), text(out));
        archipel_does(&["checkpoint", "export", "--dir", &dir, "--out", &out]);
        jobs.push(json!({"dir": out, "contexts": contexts(48)}));
    }
    let answers = ask(folder.path(), "load", &jobs);
    for ((name, ..), answer) in SHAPES.iter().zip(&answers) {
        let out = folder.path().join(format!("{name}-hf"));
        assert_same(name, &own_logits(&out, &contexts(48)), answer);
    }
}

#[test]
fn what_transformers_saves_computes_the_same_here() {
    if !other_side("import") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: String| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let mut jobs = Vec::new();
    for (seed, (name, width, layers, heads, kv_heads, tied)) in SHAPES.iter().enumerate() {
        for (dtype, shard) in [("float32", "5GB"), ("bfloat16", "60KB"), ("float16", "5GB")] {
            jobs.push(json!({
                "dir": at(format!("{name}-{dtype}")), "dtype": dtype, "shard": shard, "seed": seed,
                "contexts": contexts(48),
                "config": {
                    "vocab_size": 256, "hidden_size": width, "intermediate_size": 96,
                    "num_hidden_layers": layers, "num_attention_heads": heads,
                    "num_key_value_heads": kv_heads, "max_position_embeddings": 48,
                    "tie_word_embeddings": tied, "rms_norm_eps": 1e-5,
                },
            }));
        }
    }
    let answers = ask(folder.path(), "save", &jobs);
    for (job, answer) in jobs.iter().zip(&answers) {
        let source = job["dir"].as_str().expect("a path");
        let out = format!("{source}-here");
        if job["dtype"] == "bfloat16" {
            let index = Path::new(source).join("model.safetensors.index.json");
            assert!(index.exists(), "{source} was to be saved in shards");
        }
        archipel_does(&["checkpoint", "import", source, "--out", &out]);
        assert_same(source, &own_logits(Path::new(&out), &contexts(48)), answer);
        assert_generates_as(Path::new(&out), &answer["greedy"]);
    }
}

/// The command continues a prompt with the bytes that the other side finds likeliest.
fn assert_generates_as(folder: &Path, greedy: &Value) {
    let prompt = &contexts(48)[0];
    let prompt = String::from_utf8(prompt.clone()).expect("a prompt is text");
    let folder = folder.to_str().expect("UTF-8");
    let run = archipel(&[
        "generate",
        "--checkpoint",
        folder,
        "--prompt",
        &prompt,
        "--bytes",
        "8",
        "--temperature",
        "0",
    ]);
    let expected: Vec<u8> = greedy
        .as_array()
        .expect("tokens")
        .iter()
        .map(|token| token.as_u64().expect("a byte") as u8)
        .collect();
    let whole = [prompt.as_bytes(), &expected, b"\n"].concat();
    assert_eq!(
        run.stdout,
        whole,
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
fn what_cannot_be_computed_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (dir, hf, out) = (path("member"), path("hf"), path("out"));
    member_folder(Path::new(&dir), Plan::nano());
    archipel_does(&["checkpoint", "export", "--dir", &dir, "--out", &hf]);
    let written = fs::read_to_string(Path::new(&hf).join(TOKENIZER_FILE)).expect("a tokenizer");
    let written: Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(written, byte_tokenizer_json());
    let into_member = ["checkpoint", "export", "--dir", &dir, "--out", &dir];
    let again = ["checkpoint", "import", &hf, "--out", &hf];
    let import = ["checkpoint", "import", &hf, "--out", &out];
    let refused = |arguments: &[&str], expected: &str| {
        let run = archipel(arguments);
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success() && said.contains(expected), "{said}");
        assert!(!Path::new(&out).exists(), "something was written");
    };
    refused(&into_member, "found a member's");
    refused(&again, "exists and is not overwritten");
    let config = Path::new(&hf).join("config.json");
    let text = fs::read_to_string(&config).expect("a shape");
    let scaled = text.replace("{\n", "{\n  \"rope_scaling\": {\"rope_type\": \"yarn\"},\n");
    fs::write(&config, scaled).expect("a file");
    refused(&import, "rope_scaling: expected null, found");
    fs::write(&config, &text).expect("a file");
    let weights = Path::new(&hf).join("model.safetensors");
    let bytes = fs::read(&weights).expect("weights");
    fs::write(&weights, &bytes[..bytes.len() - 1]).expect("a file");
    refused(&import, "it was cut off or changed");
    fs::write(&weights, &bytes).expect("a file");
    archipel_does(&import);
    let logits = |folder: &String| own_logits(Path::new(folder), &contexts(64));
    assert_eq!(logits(&hf), logits(&out));
}
