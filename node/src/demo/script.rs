//! When to kill, when to start again, whom to admit: the demo's own plot.
//!
//! Decided from what members are seen to do, never from elapsed time, with one exception: when
//! the kills leave too few members to certify anything, no state will ever tell that two rounds
//! have passed, and the first that was killed comes back after [`QUORUM_PAUSE`].

use super::{
    args::{DemoArgs, ROUNDS_DOWN},
    board::{Board, Status},
    events::Event,
};
use archipel_protocol::ids::Round;
use std::time::Duration;

/// How long a federation without quorum is shown standing still.
pub const QUORUM_PAUSE: Duration = Duration::from_secs(10);

/// What is to be done to the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the member's process with SIGKILL.
    Kill {
        /// Its row.
        row: usize,
        /// The round it was in.
        round: Round,
    },
    /// Start the member's process again.
    Restart {
        /// Its row.
        row: usize,
        /// Why now.
        because: Because,
    },
    /// Admit one more member.
    Admit {
        /// The round that began.
        round: Round,
    },
}

/// Why a member comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Another member certified this state.
    Certified(Round),
    /// Too few run to certify anything.
    NoQuorum,
}

/// The plot, and how far it has come.
#[derive(Clone, Debug)]
pub struct Script {
    kills: Vec<PlannedKill>,
    join: Option<Round>,
    /// Members that must run for a state to be certified.
    needed: usize,
}

#[derive(Clone, Debug)]
struct PlannedKill {
    row: usize,
    round: Round,
    restart_at: Round,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Waiting,
    Down { since: Duration },
    Over,
}

impl Script {
    /// The plot that checked arguments ask for.
    ///
    /// `needed` members must run for a state to be certified: the quorum, or everybody where
    /// nobody is left behind.
    pub fn new(args: &DemoArgs, board: &Board, needed: usize) -> Self {
        let kills = args.kill.iter().filter_map(|kill| {
            let row = board.rows.iter().position(|row| row.name == kill.name)?;
            let restart_at = Round(kill.round.0.saturating_add(ROUNDS_DOWN)).min(board.end);
            Some(PlannedKill {
                row,
                round: kill.round,
                restart_at,
                stage: Stage::Waiting,
            })
        });
        Self {
            kills: kills.collect(),
            join: args.join.map(Round),
            needed,
        }
    }

    /// Looks at an event that is on the board already.
    pub fn react(&mut self, board: &Board, row: usize, event: &Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(round) = event.working_in()
            && board.rows[row].status != Status::Killed
        {
            self.kill(board, row, round, &mut actions);
        }
        self.admit(board, event, &mut actions);
        self.restart(board, &mut actions);
        actions
    }

    /// Looks at the board when time has passed.
    pub fn tick(&mut self, board: &Board) -> Vec<Action> {
        let running = board
            .rows
            .iter()
            .filter(|row| row.status != Status::Killed)
            .count();
        let mut actions = Vec::new();
        if running < self.needed {
            let down = self.kills.iter_mut().filter_map(|kill| match kill.stage {
                Stage::Down { since } => Some((since, kill)),
                _ => None,
            });
            if let Some((since, kill)) = down.min_by_key(|(since, _)| *since)
                && board.elapsed.saturating_sub(since) >= QUORUM_PAUSE
            {
                kill.stage = Stage::Over;
                actions.push(Action::Restart {
                    row: kill.row,
                    because: Because::NoQuorum,
                });
            }
        }
        actions
    }

    /// Whether nothing is left to wait for: nobody is down, and nobody has to be admitted.
    pub fn is_over(&self) -> bool {
        let down = |kill: &PlannedKill| matches!(kill.stage, Stage::Down { .. });
        !self.kills.iter().any(down) && self.join.is_none()
    }

    /// What was asked for and never came about, for people.
    pub fn unplayed(&self, board: &Board) -> Vec<String> {
        let waiting = self
            .kills
            .iter()
            .filter(|kill| kill.stage == Stage::Waiting);
        waiting
            .map(|kill| {
                let name = &board.rows[kill.row].name;
                format!(
                    "{name} was never seen in round {}, so it was not killed",
                    kill.round
                )
            })
            .collect()
    }

    fn kill(&mut self, board: &Board, row: usize, round: Round, actions: &mut Vec<Action>) {
        let due = |kill: &&mut PlannedKill| {
            kill.row == row && kill.round == round && kill.stage == Stage::Waiting
        };
        if let Some(kill) = self.kills.iter_mut().find(due) {
            kill.stage = Stage::Down {
                since: board.elapsed,
            };
            actions.push(Action::Kill { row, round });
        }
    }

    fn admit(&mut self, board: &Board, event: &Event, actions: &mut Vec<Action>) {
        let began = match event {
            Event::Certified { round, .. } => Some(*round),
            _ => event.working_in(),
        };
        if let (Some(join), Some(round)) = (self.join, began)
            && round >= join
            && join >= board.first
        {
            self.join = None;
            actions.push(Action::Admit { round });
        }
    }

    fn restart(&mut self, board: &Board, actions: &mut Vec<Action>) {
        for kill in &mut self.kills {
            let others = board
                .rows
                .iter()
                .enumerate()
                .filter(|(row, _)| *row != kill.row);
            let latest = others
                .filter_map(|(_, row)| row.certified.map(|state| state.round))
                .max();
            if let (Stage::Down { .. }, Some(latest)) = (kill.stage, latest)
                && latest >= kill.restart_at
            {
                kill.stage = Stage::Over;
                let because = Because::Certified(latest);
                actions.push(Action::Restart {
                    row: kill.row,
                    because,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            args::Kill,
            board::tests::{board, certified},
            events::Phase,
        },
        *,
    };

    fn args(kills: &[(&str, u64)], join: Option<u64>) -> DemoArgs {
        let kill = kills.iter().map(|&(name, round)| Kill {
            name: name.into(),
            round: Round(round),
        });
        DemoArgs {
            members: None,
            rounds: None,
            data: None,
            plan: None,
            dir: None,
            seed: None,
            wait_all: false,
            kill: kill.collect(),
            join,
            json: false,
        }
    }

    fn phase(round: u64) -> Event {
        Event::Phase {
            round: Round(round),
            phase: Phase::Train,
            step: None,
            steps: None,
        }
    }

    /// Applies the event and what comes of it, as the driver does.
    fn play(board: &mut Board, script: &mut Script, row: usize, event: &Event) -> Vec<Action> {
        board.apply(row, event);
        let actions = script.react(board, row, event);
        for action in &actions {
            match action {
                Action::Kill { row, .. } => board.killed(*row),
                Action::Restart { row, .. } => board.started(*row),
                Action::Admit { .. } => {}
            }
        }
        actions
    }

    #[test]
    fn a_member_is_killed_in_its_round_and_back_two_states_later() {
        let mut board = board();
        let mut script = Script::new(&args(&[("member-2", 3)], None), &board, 3);
        let kill = Action::Kill {
            row: 1,
            round: Round(3),
        };
        let restart = Action::Restart {
            row: 1,
            because: Because::Certified(Round(5)),
        };
        let table = [
            ("another member in the round", 0, phase(3), vec![]),
            ("the round before", 1, phase(2), vec![]),
            ("its round", 1, phase(3), vec![kill]),
            ("a line that was on its way", 1, phase(3), vec![]),
            (
                "its own certificate does not count",
                1,
                certified(5, 1, 0, 5.0),
                vec![],
            ),
            ("one state later", 0, certified(4, 1, 0, 5.0), vec![]),
            (
                "two states later",
                2,
                certified(5, 1, 0, 5.0),
                vec![restart],
            ),
            ("only once", 3, certified(5, 1, 0, 5.0), vec![]),
        ];
        for (why, row, event, expected) in table {
            assert_eq!(
                play(&mut board, &mut script, row, &event),
                expected,
                "{why}"
            );
        }
        assert!(script.is_over());
    }

    #[test]
    fn a_member_that_lags_comes_back_at_once() {
        let mut board = board();
        let mut script = Script::new(&args(&[("member-2", 3)], None), &board, 3);
        play(&mut board, &mut script, 0, &certified(9, 1, 0, 5.0));
        let actions = play(&mut board, &mut script, 1, &phase(3));
        assert_eq!(actions.len(), 2, "{actions:?}");
    }

    #[test]
    fn a_kill_in_the_last_round_comes_back_for_the_last_state() {
        let mut board = board();
        let mut script = Script::new(&args(&[("member-1", 19)], None), &board, 3);
        play(&mut board, &mut script, 0, &phase(19));
        assert!(!script.is_over());
        let actions = play(&mut board, &mut script, 1, &certified(20, 1, 0, 5.0));
        assert_eq!(
            actions,
            [Action::Restart {
                row: 0,
                because: Because::Certified(Round(20))
            }]
        );
    }

    #[test]
    fn without_a_quorum_the_first_killed_comes_back() {
        let mut board = board();
        let mut script = Script::new(&args(&[("member-1", 3), ("member-2", 3)], None), &board, 3);
        play(&mut board, &mut script, 1, &phase(3));
        board.elapsed = Duration::from_secs(1);
        play(&mut board, &mut script, 0, &phase(3));
        assert_eq!(script.tick(&board), []);
        board.elapsed = QUORUM_PAUSE;
        assert_eq!(
            script.tick(&board),
            [Action::Restart {
                row: 1,
                because: Because::NoQuorum
            }]
        );
        board.started(1);
        board.elapsed *= 10;
        assert_eq!(script.tick(&board), [], "three of four are a quorum");
    }

    #[test]
    fn a_member_is_admitted_once_when_the_round_begins() {
        let mut board = board();
        let mut script = Script::new(&args(&[], Some(4)), &board, 3);
        assert_eq!(play(&mut board, &mut script, 0, &phase(3)), []);
        assert!(!script.is_over());
        let actions = play(&mut board, &mut script, 0, &certified(4, 1, 0, 5.0));
        assert_eq!(actions, [Action::Admit { round: Round(4) }]);
        assert_eq!(play(&mut board, &mut script, 0, &phase(4)), []);
        assert!(script.is_over());
    }
}
