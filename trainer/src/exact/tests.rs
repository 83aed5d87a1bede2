//! Every kernel, on every instruction set of this machine: the bits of its definition, and near the
//! mathematics.

use super::definition::{self, Head, Real};
use super::isa::Isa;
use super::product::{BLOCK, Into, Packed, Rows, Size, multiply, multiply_transposed};
use super::{attention, rows};
use crate::config::{ModelConfig, tiny};
use crate::model::Attention;
use archipel_protocol::random::Stream;

/// Runs `check` on each instruction set that there is. The choice is the process's, and other tests
/// go on meanwhile: it changes no bit of theirs.
fn on_each_isa(check: impl Fn(&str)) {
    for isa in Isa::ALL.into_iter().filter(|isa| *isa <= Isa::widest()) {
        isa.choose().expect("the machine has it");
        check(isa.name());
    }
}

fn random(count: usize, seed: u8) -> Vec<f32> {
    let mut stream = Stream::new([seed; 32]);
    (0..count).map(|_| stream.normal_f32()).collect()
}

fn same(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            found.to_bits() == expected.to_bits(),
            "{name} at {at}: {found:e}, its definition says {expected:e}"
        );
    }
}

/// Within `limit` of the largest value, or of one.
fn near(name: &str, found: &[f32], expected: &[f64], limit: f64) {
    let scale = expected.iter().fold(1.0f64, |max, x| max.max(x.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / scale;
        assert!(error < limit, "{name} at {at}: {found} for {expected}");
    }
}

fn wide<T: Real>(values: &[f32]) -> Vec<T> {
    values.iter().map(|value| T::of(*value)).collect()
}

/// c (+)= a · b by definition, `a [rows, inner]`, `b [inner, columns]`.
fn defined<T: Real>(size: Size, a: &[f32], b: &[f32], onto: Option<&[f32]>) -> Vec<T> {
    let Size {
        rows,
        inner,
        columns,
    } = size;
    let element = |at: usize| {
        let (i, j) = (at / columns, at % columns);
        let left = |k: usize| T::of(a[i * inner + k]);
        let right = |k: usize| T::of(b[k * columns + j]);
        definition::product(inner, BLOCK, onto.map(|c| T::of(c[at])), left, right)
    };
    (0..rows * columns).map(element).collect()
}

fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..matrix.len())
        .map(|at| matrix[at % rows * columns + at / rows])
        .collect()
}

#[test]
fn products_are_their_definition() {
    let shapes = [
        (1, 1, 1),
        (1, 2, 3),
        (7, 255, 17),
        (13, 256, 16),
        (6, 257, 33),
        (12, 258, 32),
        (97, 513, 5),
        (1, 600, 1),
        (100, 3, 64),
    ];
    for (rows, inner, columns) in shapes {
        let size = Size {
            rows,
            inner,
            columns,
        };
        let (a, b) = (random(rows * inner, 1), random(inner * columns, 2));
        let onto = random(rows * columns, 3);
        let set: Vec<f32> = defined(size, &a, &b, None);
        let added: Vec<f32> = defined(size, &a, &b, Some(&onto));
        let exact: Vec<f64> = defined(size, &a, &b, None);
        near("product", &set, &exact, 1e-5);
        let (a_t, b_t) = (transposed(&a, rows, inner), transposed(&b, inner, columns));
        on_each_isa(|isa| {
            let name = format!("{rows}x{inner}x{columns} on {isa}");
            for packed in [
                Packed::rows(Rows::new(&b, columns), inner, columns),
                Packed::transposed(Rows::new(&b_t, inner), inner, columns),
            ] {
                let mut c = vec![f32::NAN; rows * columns];
                let left = Rows::new(&a, inner);
                multiply(size, left, &packed, &mut c, columns, Into::Set);
                same(&name, &c, &set);
                c.copy_from_slice(&onto);
                multiply(size, left, &packed, &mut c, columns, Into::Add);
                same(&name, &c, &added);
            }
            let (left, right) = (Rows::new(&a_t, rows), Rows::new(&b, columns));
            let mut c = vec![f32::NAN; rows * columns];
            multiply_transposed(size, left, right, &mut c, columns, Into::Set);
            same(&name, &c, &set);
            c.copy_from_slice(&onto);
            multiply_transposed(size, left, right, &mut c, columns, Into::Add);
            same(&name, &c, &added);
        });
    }
}

fn rms_norm_of<T: Real>(x: &[f32], weight: &[f32], dy: &[f32]) -> [Vec<T>; 3] {
    let (weight, width) = (wide::<T>(weight), weight.len());
    let mut all = [Vec::new(), Vec::new(), vec![T::of(0.0); width]];
    for (x, dy) in x.chunks(width).zip(dy.chunks(width)) {
        let (x, dy) = (wide::<T>(x), wide::<T>(dy));
        let (y, root) = definition::rms_norm(&x, &weight, T::of(1e-5));
        let (by_x, by_weight) = definition::rms_norm_backward(&x, &weight, root, &dy);
        all[0].extend(y);
        all[1].extend(by_x.into_iter().map(|dx| T::of(0.0) + dx));
        for (sum, value) in all[2].iter_mut().zip(by_weight) {
            *sum = *sum + value;
        }
    }
    all
}

#[test]
fn norms_are_their_definition() {
    for width in [1, 15, 16, 17, 40] {
        let (x, weight, dy) = (random(5 * width, 4), random(width, 5), random(5 * width, 6));
        let [y, by_x, by_weight] = rms_norm_of::<f32>(&x, &weight, &dy);
        let [y64, by_x64, by_weight64] = rms_norm_of::<f64>(&x, &weight, &dy);
        near("rms_norm", &y, &y64, 1e-6);
        near("rms_norm by x", &by_x, &by_x64, 1e-5);
        near("rms_norm by weight", &by_weight, &by_weight64, 1e-6);
        on_each_isa(|isa| {
            let name = format!("rms_norm of {width} on {isa}");
            let (mut found, mut roots) = (vec![0.0; x.len()], vec![0.0; 5]);
            rows::rms_norm(&x, &weight, 1e-5, &mut found, &mut roots);
            same(&name, &found, &y);
            let (mut dx, mut dweight) = (vec![0.0; x.len()], vec![0.0; width]);
            rows::rms_norm_backward(&x, &weight, &roots, &dy, &mut dx, &mut dweight);
            same(&name, &dx, &by_x);
            same(&name, &dweight, &by_weight);
        });
    }
}

#[test]
fn swiglu_is_its_definition() {
    for width in [1, 16, 21] {
        let (gate_up, dy) = (random(6 * width, 7), random(3 * width, 8));
        let at = |i: usize| {
            let (row, column) = (i / width, i % width);
            let gate = gate_up[row * 2 * width + column];
            (gate, gate_up[row * 2 * width + width + column], dy[i])
        };
        on_each_isa(|isa| {
            let name = format!("swiglu of {width} on {isa}");
            let (mut y, mut dx) = (vec![0.0; 3 * width], vec![0.0; 6 * width]);
            rows::swiglu(&gate_up, width, &mut y);
            rows::swiglu_backward(&gate_up, width, &dy, &mut dx);
            for (i, y) in y.iter().enumerate() {
                let (gate, up, dy) = at(i);
                let by_gate = i / width * 2 * width + i % width;
                let found = [*y, dx[by_gate], dx[by_gate + width]];
                let (expected, by_gate, by_up) = definition::swiglu(gate, up, dy);
                same(&name, &found, &[expected, by_gate, by_up]);
                let [gate, up, dy] = [gate, up, dy].map(f64::from);
                let exact = definition::swiglu(gate, up, dy);
                near(&name, &found, &[exact.0, exact.1, exact.2], 1e-6);
            }
        });
    }
}

#[test]
fn losses_are_their_definition() {
    let targets = [3u32, 0, 20, 7];
    let logits = random(4 * 21, 9);
    let mut expected = Vec::new();
    for (row, target) in logits.chunks(21).zip(targets) {
        let (p, _, _) = definition::softmax(row);
        let exact = definition::softmax(&wide::<f64>(row));
        let loss = exact.2.ln() + exact.1 - f64::from(row[target as usize]);
        let by_logit = |i: usize| (p[i] - f32::from(i == target as usize)) * 0.25;
        expected.push((loss, (0..21).map(by_logit).collect::<Vec<f32>>()));
        near("softmax", &p, &exact.0, 1e-6);
    }
    on_each_isa(|isa| {
        let (mut p, mut losses) = (logits.clone(), Vec::new());
        rows::token_losses(&mut p, 21, &targets, &mut losses);
        rows::token_losses_backward(&mut p, 21, &targets, 0.25);
        for ((row, loss), (exact, by_logits)) in p.chunks(21).zip(&losses).zip(&expected) {
            near("loss", &[*loss], &[*exact], 1e-6);
            same(&format!("loss on {isa}"), row, by_logits);
        }
    });
}

/// One head of one window out of rows of queries, keys and values.
fn head<T: Real>(qkv: &[f32], shape: &Attention, head: usize) -> Head<T> {
    let part = |column: usize| {
        let row = |row: &[f32]| wide(&row[column..][..shape.head_width]);
        qkv.chunks(shape.columns()).map(row).collect()
    };
    Head {
        q: part(head * shape.head_width),
        k: part(shape.key_column(head)),
        v: part(shape.value_column(head)),
    }
}

/// Attention of a window by definition where no heads share keys: result and gradient by rows.
fn attended<T: Real>(qkv: &[f32], shape: &Attention, dy: &[f32]) -> (Vec<T>, Vec<T>) {
    let (width, length) = (shape.head_width, qkv.len() / shape.columns());
    let mut out = vec![T::of(0.0); length * shape.heads * width];
    let mut dqkv = vec![T::of(0.0); qkv.len()];
    for index in 0..shape.heads {
        let head = head::<T>(qkv, shape, index);
        let own = |row: &[f32]| wide(&row[index * width..][..width]);
        let dy: Vec<Vec<T>> = dy.chunks(shape.heads * width).map(own).collect();
        let gradient = head.backward(shape, &dy);
        for (row, values) in head.forward(shape).iter().enumerate() {
            let at = (row * shape.heads + index) * width;
            out[at..at + width].copy_from_slice(values);
            let parts = [
                (index * width, &gradient.q[row]),
                (shape.key_column(index), &gradient.k[row]),
                (shape.value_column(index), &gradient.v[row]),
            ];
            for (column, values) in parts {
                let at = row * shape.columns() + column;
                dqkv[at..at + width].copy_from_slice(values);
            }
        }
    }
    (out, dqkv)
}

#[test]
fn attention_is_its_definition() {
    for (heads, head_width, length) in [(1, 2, 1), (2, 6, 5), (1, 16, 24), (2, 20, 50), (1, 8, 300)]
    {
        let config = ModelConfig {
            heads,
            kv_heads: heads,
            d_model: heads * head_width,
            context: length,
            ..tiny()
        };
        let (shape, length) = (Attention::new(&config), length as usize);
        let qkv = random(length * shape.columns(), 10);
        let dy = random(length * shape.heads * shape.head_width, 11);
        let (expected, gradient) = attended::<f32>(&qkv, &shape, &dy);
        let (exact, exact_gradient) = attended::<f64>(&qkv, &shape, &dy);
        near("attention", &expected, &exact, 1e-5);
        near("gradient of attention", &gradient, &exact_gradient, 1e-5);
        on_each_isa(|isa| {
            let name = format!("attention of {heads} heads over {length} on {isa}");
            let mut out = vec![0.0; expected.len()];
            let mut saved = vec![Default::default(); length * shape.heads];
            attention::forward(&qkv, &shape, length, &mut out, &mut saved);
            same(&name, &out, &expected);
            let mut dqkv = vec![f32::NAN; qkv.len()];
            attention::backward(&qkv, &shape, length, &saved, &dy, &mut dqkv);
            same(&name, &dqkv, &gradient);
        });
    }
}

/// Heads that share keys and values: each result is its own head's, and gradients add up.
#[test]
fn grouped_heads_share_keys() {
    let config = ModelConfig {
        heads: 4,
        kv_heads: 2,
        d_model: 32,
        context: 30,
        ..tiny()
    };
    let (shape, length) = (Attention::new(&config), 30);
    let qkv = random(length * shape.columns(), 12);
    let dy = random(length * 32, 13);
    let mut out = vec![0.0; length * 32];
    let mut saved = vec![Default::default(); length * shape.heads];
    attention::forward(&qkv, &shape, length, &mut out, &mut saved);
    let mut dqkv = vec![f32::NAN; qkv.len()];
    attention::backward(&qkv, &shape, length, &saved, &dy, &mut dqkv);
    let mut by_key = vec![0.0f64; length * 16];
    for index in 0..4 {
        let head = head::<f32>(&qkv, &shape, index);
        for (row, values) in head.forward(&shape).iter().enumerate() {
            same("a grouped head", &out[row * 32 + index * 8..][..8], values);
        }
        let own = |row: &[f32]| wide::<f64>(&row[index * 8..][..8]);
        let dy: Vec<Vec<f64>> = dy.chunks(32).map(own).collect();
        let exact = self::head::<f64>(&qkv, &shape, index).backward(&shape, &dy);
        for (row, values) in exact.k.iter().enumerate() {
            for (i, value) in values.iter().enumerate() {
                by_key[row * 16 + index / 2 * 8 + i] += value;
            }
        }
    }
    let keys: Vec<f32> = dqkv
        .chunks(shape.columns())
        .flat_map(|row| row[32..48].to_vec())
        .collect();
    near("gradient by shared keys", &keys, &by_key, 1e-5);
}
