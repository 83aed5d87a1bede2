//! Rotary positions and causal attention on plain slices, forward and backward, head by head.
//!
//! A head's rows are copied into scratch of a width that is a multiple of sixteen, so that every
//! inner loop is one block of sixteen lanes. What lies in the future of a position is never
//! exponentiated. Sums over keys and over columns run in order.

use super::kernels::Attention;
use super::rows::{LANES, exp, lane_sum};
use super::widest::widest;

/// One head's rows, rotated, and their transposes; reused from head to head.
struct Scratch {
    length: usize,
    /// Columns of a position's row.
    width: usize,
    /// Columns of a transposed row.
    span: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    k_columns: Vec<f32>,
    v: Vec<f32>,
    v_columns: Vec<f32>,
    dy: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    row: Vec<f32>,
}

impl Scratch {
    fn new(shape: &Attention, length: usize) -> Self {
        let width = shape.head_width.next_multiple_of(LANES);
        let span = length.next_multiple_of(LANES);
        let rows = || vec![0.0; length * width];
        let columns = || vec![0.0; shape.head_width * span];
        Self {
            length,
            width,
            span,
            q: rows(),
            k: rows(),
            k_columns: columns(),
            v: rows(),
            v_columns: columns(),
            dy: rows(),
            dq: rows(),
            dk: rows(),
            dv: rows(),
            row: vec![0.0; span],
        }
    }

    /// Copies one head of a window in: queries scaled by 1 / √head_width and, like keys, rotated.
    fn gather(&mut self, window: &[f32], shape: &Attention, head: usize) {
        let (columns, width) = (shape.columns(), shape.head_width);
        let (key, value) = (shape.key_column(head), shape.value_column(head));
        let scale = 1.0 / (width as f32).sqrt();
        for position in 0..self.length {
            let row = &window[position * columns..][..columns];
            let to = position * self.width..position * self.width + width;
            turn(
                &row[head * width..][..width],
                shape,
                position,
                1.0,
                &mut self.q[to.clone()],
            );
            self.q[to.clone()].iter_mut().for_each(|q| *q *= scale);
            turn(
                &row[key..][..width],
                shape,
                position,
                1.0,
                &mut self.k[to.clone()],
            );
            self.v[to.clone()].copy_from_slice(&row[value..][..width]);
            for column in 0..width {
                self.k_columns[column * self.span + position] = self.k[to.start + column];
                self.v_columns[column * self.span + position] = self.v[to.start + column];
            }
        }
    }
}

/// Turns the pairs (i, i + width/2) of `from` by the position's angle times `sign` (±1).
#[inline(always)]
fn turn(from: &[f32], shape: &Attention, position: usize, sign: f32, to: &mut [f32]) {
    let half = shape.head_width / 2;
    let cosines = &shape.cosines[position * half..][..half];
    let sines = &shape.sines[position * half..][..half];
    let ((left, right), (to_left, to_right)) = (from.split_at(half), to.split_at_mut(half));
    for i in 0..half {
        let sine = sines[i] * sign;
        to_left[i] = left[i] * cosines[i] - right[i] * sine;
        to_right[i] = right[i] * cosines[i] + left[i] * sine;
    }
}

widest! {
    /// Σᵣ coefficients[r] · matrix[r, …] for all blocks of sixteen columns up to `out`'s length.
    fn combine(coefficients: &[f32], matrix: &[f32], stride: usize, out: &mut [f32]) {
        for (block, out) in out.chunks_exact_mut(LANES).enumerate() {
            let mut sums = [0.0; LANES];
            for (row, coefficient) in matrix[block * LANES..].chunks(stride).zip(coefficients) {
                let row: &[f32; LANES] = row[..LANES].try_into().expect("rows are padded");
                for lane in 0..LANES {
                    sums[lane] += coefficient * row[lane];
                }
            }
            out.copy_from_slice(&sums);
        }
    }
}

widest! {
    /// Adds coefficients[r] · row to row r of `matrix`, for every coefficient.
    fn spread(coefficients: &[f32], row: &[f32], matrix: &mut [f32]) {
        for (to, coefficient) in matrix.chunks_exact_mut(row.len()).zip(coefficients) {
            for (to, row) in to.chunks_exact_mut(LANES).zip(row.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    to[lane] += coefficient * row[lane];
                }
            }
        }
    }
}

widest! {
    /// Softmax of a row in place.
    fn normalize(row: &mut [f32]) {
        let max = row.iter().fold(f32::NEG_INFINITY, |max, x| if *x > max { *x } else { max });
        row.iter_mut().for_each(|x| *x = exp(*x - max));
        let inverse = 1.0 / lane_sum(row.len(), |i| row[i]);
        row.iter_mut().for_each(|x| *x *= inverse);
    }
}

widest! {
    /// dx = p · (dp − Σ p·dp): the gradient of a softmax, in place of `dp`.
    fn normalize_backward(p: &[f32], dp: &mut [f32]) {
        let dp = &mut dp[..p.len()];
        let pull = lane_sum(p.len(), |i| p[i] * dp[i]);
        dp.iter_mut().zip(p).for_each(|(dp, p)| *dp = p * (*dp - pull));
    }
}

/// Attention of every window and head; returns the result and the probabilities, a row a query
/// with as many columns as the padded length.
pub(crate) fn forward(qkv: &[f32], shape: &Attention, length: usize) -> (Vec<f32>, Vec<f32>) {
    let mut scratch = Scratch::new(shape, length);
    let (columns, width) = (shape.columns(), shape.head_width);
    let (rows, span) = (qkv.len() / columns, scratch.span);
    let out_columns = shape.heads * width;
    let mut out = vec![0.0; rows * out_columns];
    let mut probabilities = vec![0.0; rows * shape.heads * span];
    let mut mixed = vec![0.0; scratch.width];
    let mut saved = probabilities.chunks_exact_mut(span);
    for (window, out) in qkv
        .chunks_exact(length * columns)
        .zip(out.chunks_exact_mut(length * out_columns))
    {
        for head in 0..shape.heads {
            scratch.gather(window, shape, head);
            for position in 0..length {
                let q = &scratch.q[position * scratch.width..][..width];
                let p = saved.next().expect("a row for every query");
                let seen = (position + 1).next_multiple_of(LANES);
                combine(q, &scratch.k_columns, span, &mut p[..seen]);
                normalize(&mut p[..=position]);
                p[position + 1..].fill(0.0);
                combine(&p[..=position], &scratch.v, scratch.width, &mut mixed);
                let to = position * out_columns + head * width;
                out[to..to + width].copy_from_slice(&mixed[..width]);
            }
        }
    }
    (out, probabilities)
}

/// The gradient of [`forward`] by `qkv`.
pub(crate) fn backward(
    qkv: &[f32],
    shape: &Attention,
    length: usize,
    probabilities: &[f32],
    dy: &[f32],
) -> Vec<f32> {
    let mut scratch = Scratch::new(shape, length);
    let (columns, out_columns) = (shape.columns(), shape.heads * shape.head_width);
    let mut dqkv = vec![0.0; qkv.len()];
    let mut saved = probabilities.chunks_exact(length * scratch.span);
    let windows = qkv
        .chunks_exact(length * columns)
        .zip(dqkv.chunks_exact_mut(length * columns));
    for ((window, dwindow), dy) in windows.zip(dy.chunks_exact(length * out_columns)) {
        for head in 0..shape.heads {
            let p = saved.next().expect("a head's rows for every head");
            scratch.gather(window, shape, head);
            head_backward(&mut scratch, shape, head, p, dy);
            scatter(&scratch, shape, head, dwindow);
        }
    }
    dqkv
}

/// Fills `dq`, `dk` and `dv` of one head from its probabilities and the result's gradient.
fn head_backward(scratch: &mut Scratch, shape: &Attention, head: usize, p: &[f32], dy: &[f32]) {
    let (width, padded, span) = (shape.head_width, scratch.width, scratch.span);
    let out_columns = shape.heads * width;
    scratch.dk.fill(0.0);
    scratch.dv.fill(0.0);
    for position in 0..scratch.length {
        let at = position * padded;
        let from = position * out_columns + head * width;
        scratch.dy[at..at + width].copy_from_slice(&dy[from..from + width]);
        let p = &p[position * span..][..=position];
        let seen = (position + 1).next_multiple_of(LANES);
        let dy = &scratch.dy[at..at + padded];
        spread(p, dy, &mut scratch.dv);
        combine(
            &dy[..width],
            &scratch.v_columns,
            span,
            &mut scratch.row[..seen],
        );
        normalize_backward(p, &mut scratch.row);
        let ds = &scratch.row[..=position];
        combine(ds, &scratch.k, padded, &mut scratch.dq[at..at + padded]);
        spread(ds, &scratch.q[at..at + padded], &mut scratch.dk);
    }
}

/// Turns the gradients of one head back and writes them; heads that share keys add up.
fn scatter(scratch: &Scratch, shape: &Attention, head: usize, dwindow: &mut [f32]) {
    let (columns, width) = (shape.columns(), shape.head_width);
    let scale = 1.0 / (width as f32).sqrt();
    let mut turned = vec![0.0; width];
    for position in 0..scratch.length {
        let row = &mut dwindow[position * columns..][..columns];
        let from = position * scratch.width..position * scratch.width + width;
        turn(
            &scratch.dq[from.clone()],
            shape,
            position,
            -1.0,
            &mut turned,
        );
        let dq = &mut row[head * width..][..width];
        dq.iter_mut()
            .zip(&turned)
            .for_each(|(to, value)| *to = value * scale);
        turn(
            &scratch.dk[from.clone()],
            shape,
            position,
            -1.0,
            &mut turned,
        );
        add(&mut row[shape.key_column(head)..][..width], &turned);
        add(
            &mut row[shape.value_column(head)..][..width],
            &scratch.dv[from],
        );
    }
}

fn add(to: &mut [f32], values: &[f32]) {
    to.iter_mut()
        .zip(values)
        .for_each(|(to, value)| *to += value);
}
