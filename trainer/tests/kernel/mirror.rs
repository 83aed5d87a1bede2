//! select.cu line by line in Rust: what one block of threads does, barrier by barrier.

use archipel_protocol::codec::Piece;

const THREADS: usize = 256;
const INFINITE: u32 = 0x7f80_0000;
const SMALLEST_NORMAL: u32 = 0x0080_0000;

fn key_of(value: f32) -> u32 {
    value.to_bits() & 0x7fff_ffff
}

/// `select_largest` of one piece: its count, and the slots it wrote; nothing where `bad` is set.
pub fn select_largest(values: &[f32], piece: &Piece) -> Option<(u32, Vec<(u32, f32)>)> {
    let (mut prefix, mut wanted) = (0u32, piece.limit);
    let value = |i: usize| values[piece.position(i as u32)];
    let len = piece.len as usize;

    // How many values are not zero?
    let mut present = 0;
    for thread in 0..THREADS {
        for i in (thread..len).step_by(THREADS) {
            let key = key_of(value(i));
            present += u32::from(key > 0);
            if key >= INFINITE {
                return None;
            }
        }
    }

    // The smallest kept key, eight bits at a time from the top.
    let all = present <= piece.limit;
    for shift in [24, 16, 8, 0] {
        if all {
            break;
        }
        let mut histogram = [0u32; 256];
        for thread in 0..THREADS {
            for i in (thread..len).step_by(THREADS) {
                let key = key_of(value(i));
                if shift == 24 || (key ^ prefix) >> (shift + 8) == 0 {
                    histogram[(key >> shift) as usize & 255] += 1;
                }
            }
        }
        let mut digit = 255;
        while histogram[digit] < wanted {
            wanted -= histogram[digit];
            digit -= 1;
        }
        prefix |= (digit as u32) << shift;
    }
    let (threshold, open) = if all { (0, 0) } else { (prefix, wanted) };

    // In index order: everything above the threshold, and the first `open` equal to it.
    let (mut above_before, mut equal_before) = (0u32, 0u32);
    let mut slots = vec![(u32::MAX, 0.0); piece.limit as usize];
    for tile in (0..len).step_by(THREADS) {
        let mut flags = [(0u32, 0u32); THREADS];
        for (thread, flag) in flags.iter_mut().enumerate() {
            let i = tile + thread;
            let key = if i < len { key_of(value(i)) } else { 0 };
            let equal = open > 0 && key == threshold && i < len;
            *flag = (u32::from(key > threshold), u32::from(equal));
        }
        let scan = scanned(flags.map(|(above, equal)| above | equal << 16));
        for (thread, (above, equal)) in flags.into_iter().enumerate() {
            let here = scan[thread];
            let above_rank = above_before + (here & 0xffff) - above;
            let equal_rank = equal_before + (here >> 16) - equal;
            if above == 1 || (equal == 1 && equal_rank < open) {
                let slot = above_rank + equal_rank.min(open);
                slots[slot as usize] = ((tile + thread) as u32, value(tile + thread));
            }
        }
        above_before += scan[THREADS - 1] & 0xffff;
        equal_before += scan[THREADS - 1] >> 16;
    }
    let count = above_before + equal_before.min(open);
    slots.truncate(count as usize);
    Some((count, slots))
}

/// Inclusive sums, by doubling distances, from one row of the buffer to the other.
fn scanned(first: [u32; THREADS]) -> [u32; THREADS] {
    let mut scan = [first, [0; THREADS]];
    let (mut from, mut distance) = (0, 1);
    while distance < THREADS {
        for thread in 0..THREADS {
            let mut sum = scan[from][thread];
            if thread >= distance {
                sum += scan[from][thread - distance];
            }
            scan[1 - from][thread] = sum;
        }
        from = 1 - from;
        distance *= 2;
    }
    scan[from]
}

/// `quantize_blocks` of one block: its scale and levels; nothing where `bad` is set.
pub fn quantize_block(values: &[f32], piece: &Piece) -> Option<(f32, Vec<i8>)> {
    let len = piece.len as usize;
    let value = |thread: usize| match thread < len {
        true => values[piece.position(thread as u32)],
        false => 0.0,
    };
    let mut largest: Vec<u32> = (0..THREADS).map(|thread| key_of(value(thread))).collect();
    let mut distance = THREADS / 2;
    while distance > 0 {
        for thread in 0..distance {
            largest[thread] = largest[thread].max(largest[thread + distance]);
        }
        distance /= 2;
    }
    let key = largest[0];
    if key >= INFINITE {
        return None;
    }
    let scale = f32::from_bits(key) / 127.0;
    let normal = scale.to_bits() >= SMALLEST_NORMAL;
    let level = |thread: usize| {
        if !normal {
            return 0;
        }
        let ratio = f32::from_bits(key_of(value(thread))) / scale;
        let whole = ratio as i32;
        let level = whole + i32::from(ratio - whole as f32 >= 0.5);
        (if value(thread) < 0.0 { -level } else { level }) as i8
    };
    let levels = (0..len).map(level).collect();
    Some((if normal { scale } else { 0.0 }, levels))
}
