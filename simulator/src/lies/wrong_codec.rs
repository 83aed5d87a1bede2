//! Uses another codec than the plan's: says so in even rounds, does so silently in odd ones.
//!
//! In even rounds its header names the other codec; honest members refuse the `header`. In odd
//! rounds the header names the plan's and the payload is written in the other; honest members fetch
//! it and refuse the `payload`. Its updates are in no cut.

use super::retold;
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    codec::{Codec, decode, encode},
    member::{Output, TrainTask},
};

/// Writes what nobody asked for.
pub struct WrongCodec;

fn other(codec: Codec) -> Codec {
    match codec {
        Codec::F32 => Codec::Int8,
        _ => Codec::F32,
    }
}

impl Deviation for WrongCodec {
    fn payload(&mut self, site: &mut Seat<'_>, task: &TrainTask, payload: Vec<u8>) -> Vec<u8> {
        if task.round.0.is_multiple_of(2) {
            return payload;
        }
        let codec = site.plan.codec();
        let update = decode(codec, &payload, site.layout, &site.plan.limits()).ok();
        let written = update.and_then(|u| encode(other(codec), site.layout, &u.to_dense()).ok());
        written.map_or(payload, |encoded| encoded.payload)
    }

    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        pass.push(retold::own_header(site, output, |own| {
            match own.header.round.0.is_multiple_of(2) {
                true => retold::signed(site, own, |header| {
                    header.codec = other(site.plan.codec()).id();
                }),
                false => own.clone(),
            }
        }));
    }
}
