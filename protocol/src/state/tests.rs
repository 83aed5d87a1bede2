//! The root stands for everything in a state; a manifest from elsewhere is checked before use.

use super::*;
use crate::{charter::FaultModel, ids::MemberId, ledger::Status};
use serde_json::{Value, json};

const RUN: RunId = RunId([7; 32]);

fn layout_of(tensors: &[(&str, &[u32])]) -> Layout {
    let specs = tensors.iter().map(|(name, shape)| TensorSpec {
        name: (*name).to_owned(),
        shape: shape.to_vec(),
    });
    Layout::new(specs.collect()).expect("a valid layout")
}

fn layout() -> Layout {
    layout_of(&[("b.weight", &[2, 3]), ("a.bias", &[4])])
}

fn tensors() -> Tensors {
    let ramp = |scale: f32| (0..10).map(|i| i as f32 * scale).collect();
    Tensors {
        parameters: ramp(1.0),
        momentum: ramp(0.5),
        aggregate: ramp(0.25),
    }
}

/// Built from JSON, because nothing but the ledger makes memberships otherwise.
fn membership(seats: u8) -> Membership {
    let seat = |n: u8| {
        json!({
            "id": MemberId([n; 32]),
            "name": format!("member-{n}"),
            "status": Status::Voting,
        })
    };
    let value = json!({
        "epoch": 0,
        "seats": (1..=seats).map(seat).collect::<Vec<_>>(),
        "fault_model": FaultModel::Byzantine,
        "threshold": null,
    });
    serde_json::from_value(value).expect("the ledger's form")
}

fn manifest() -> Manifest {
    Manifest::founding(&layout(), &tensors(), &membership(4))
}

fn root(manifest: &Manifest) -> Root {
    manifest.root(&RUN, &layout())
}

/// The manifest with one value of its JSON form exchanged.
fn edited(path: &str, to: Value) -> Manifest {
    let mut value = serde_json::to_value(manifest()).expect("a manifest has a JSON form");
    let field = value.pointer_mut(path).expect(path);
    assert_ne!(*field, to, "{path}: the edit changes something");
    *field = to;
    serde_json::from_value(value).expect(path)
}

#[test]
fn a_root_changes_with_every_field() {
    let other = json!(BlobHash([9; 32]));
    let edits = [
        ("/round", json!(1)),
        ("/parameters/0", other.clone()),
        ("/parameters/1", other.clone()),
        ("/momentum/0", other.clone()),
        ("/momentum/1", other.clone()),
        ("/momentum", json!([])),
        ("/aggregate/0", other.clone()),
        ("/aggregate/1", other),
        ("/aggregate", json!([])),
        ("/schedule", json!(1)),
        ("/membership/epoch", json!(1)),
        ("/membership/seats/2/id", json!(MemberId([9; 32]))),
        ("/membership/seats/2/name", json!("other")),
        ("/membership/seats/2/status", json!(Status::Left)),
        ("/membership/seats", json!([])),
        ("/activity/cuts", json!(1)),
        ("/activity/last/3", json!(1)),
        ("/activity/last", json!([0, 0, 0])),
    ];
    let mut roots = std::collections::BTreeMap::from([(root(&manifest()), "unchanged")]);
    for (path, to) in edits {
        let before = roots.insert(root(&edited(path, to)), path);
        assert_eq!(before, None, "{path}: a root of its own");
    }
}

#[test]
fn a_root_changes_with_run_and_layout() {
    let plain = root(&manifest());
    assert_ne!(manifest().root(&RunId([8; 32]), &layout()), plain);
    let layouts = [
        (
            "another name",
            layout_of(&[("c.weight", &[2, 3]), ("a.bias", &[4])]),
        ),
        (
            "another shape",
            layout_of(&[("b.weight", &[3, 2]), ("a.bias", &[4])]),
        ),
        (
            "another rank",
            layout_of(&[("b.weight", &[6]), ("a.bias", &[4])]),
        ),
    ];
    for (why, layout) in layouts {
        assert_ne!(manifest().root(&RUN, &layout), plain, "{why}");
    }
}

#[test]
fn exchanged_sections_have_another_root() {
    let mut exchanged = manifest();
    std::mem::swap(&mut exchanged.momentum, &mut exchanged.aggregate);
    assert_ne!(root(&exchanged), root(&manifest()));
    let (mut momentum, mut aggregate) = (manifest(), manifest());
    momentum.aggregate.clear();
    momentum.momentum = manifest().aggregate;
    aggregate.momentum.clear();
    assert_ne!(
        root(&momentum),
        root(&aggregate),
        "the empty section is told"
    );
}

#[test]
fn a_root_does_not_depend_on_the_order_of_tensors() {
    let turned = layout_of(&[("a.bias", &[4]), ("b.weight", &[2, 3])]);
    let mut manifest = manifest();
    let plain = root(&manifest);
    for section in [
        &mut manifest.parameters,
        &mut manifest.momentum,
        &mut manifest.aggregate,
    ] {
        section.reverse();
    }
    assert_eq!(manifest.root(&RUN, &turned), plain);
}

#[test]
fn tensor_hashes_cover_little_endian_bytes() {
    let values: Vec<f32> = (0..3000).map(|i| i as f32 - 0.5).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(tensor_hash(&values).0, *blake3::hash(&bytes).as_bytes());
    assert_ne!(
        tensor_hash(&[0.0]),
        tensor_hash(&[-0.0]),
        "bits, not values"
    );
    assert_eq!(tensor_hashes(&layout(), &[]), []);
    let all = tensor_hashes(&layout(), &tensors().parameters);
    let parts = [&tensors().parameters[..6], &tensors().parameters[6..]];
    assert_eq!(all, parts.map(tensor_hash));
}

#[test]
fn a_manifest_from_elsewhere_is_checked() {
    let tensors = |section, found| ManifestError::Tensors {
        section,
        expected: 2,
        found,
    };
    let members = ManifestError::Membership { epoch: Epoch(0) };
    let one = json!([BlobHash([1; 32])]);
    let many = json!(vec![BlobHash([1; 32]); 3]);
    let refused = [
        ("/parameters", json!([]), tensors("parameters", 0)),
        ("/parameters", one.clone(), tensors("parameters", 1)),
        ("/parameters", many.clone(), tensors("parameters", 3)),
        ("/momentum", one.clone(), tensors("momentum", 1)),
        ("/momentum", many.clone(), tensors("momentum", 3)),
        ("/aggregate", one, tensors("aggregate", 1)),
        ("/aggregate", many, tensors("aggregate", 3)),
        ("/membership/epoch", json!(1), members.clone()),
        ("/membership/seats/0/name", json!("other"), members.clone()),
        ("/membership/fault_model", json!("crash"), members.clone()),
        ("/membership/threshold", json!(4), members),
        ("/activity/last", json!([0, 0, 0]), ManifestError::Activity),
        ("/activity/last/0", json!(1), ManifestError::Activity),
    ];
    let check =
        |manifest: &Manifest, expected| manifest.check(&RUN, &layout(), &membership(4), expected);
    let expected = root(&manifest());
    assert_eq!(check(&manifest(), expected), Ok(()));
    for (path, to, error) in refused {
        let manifest = edited(path, to);
        // Even under its own root: the form comes first.
        assert_eq!(check(&manifest, root(&manifest)), Err(error), "{path}");
    }
    let other = edited("/schedule", json!(5));
    let found = root(&other);
    let error = ManifestError::Root { expected, found };
    assert_eq!(check(&other, expected), Err(error));
}

#[test]
fn optional_sections_may_be_absent_where_the_root_says_so() {
    let bare = Tensors {
        momentum: Vec::new(),
        aggregate: Vec::new(),
        ..tensors()
    };
    let manifest = Manifest::founding(&layout(), &bare, &membership(4));
    let expected = root(&manifest);
    let checked = manifest.check(&RUN, &layout(), &membership(4), expected);
    assert_eq!(checked, Ok(()));
}
