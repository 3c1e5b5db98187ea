//! Limits on how often.

use futures_util::future::join_all;

use crate::support::{Answer, Daemon, run};

fn quota(answer: &Answer) -> (u64, u64) {
    let number = |name| answer.headers[name].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=60).contains(&number("x-ratelimit-reset")), "{answer:?}");
    assert_eq!(number("retry-after"), number("x-ratelimit-reset"));
    (number("x-ratelimit-limit"), number("x-ratelimit-remaining"))
}

#[test]
fn many_wrong_logins_at_once_are_no_way_round_the_limit() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("login_failures_per_minute = 3");
        daemon.boot().await;
        let answers = join_all((0..30).map(|_| daemon.login("admin", "wrong"))).await;
        let wrong = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!(wrong, 3);
        for limited in answers.iter().filter(|answer| answer.status != 401) {
            assert_eq!((limited.status.as_u16(), limited.code(), quota(limited)), (429, "rate_limited", (3, 0)));
        }
    });
}

#[test]
fn good_logins_are_given_back() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("login_failures_per_minute = 3");
        daemon.boot().await;
        let password = daemon.password();
        let answers = join_all((0..12).map(|_| daemon.login("admin", &password))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
    });
}

#[test]
fn whoever_asks_too_often_is_told_the_limit() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("requests_per_minute = 2");
        daemon.boot().await;
        for left in [1, 0] {
            let answer = daemon.get("/tasks").await;
            assert_eq!(answer.headers["x-ratelimit-remaining"], left.to_string());
        }
        let limited = daemon.get("/tasks").await;
        assert_eq!((limited.status.as_u16(), limited.code(), quota(&limited)), (429, "rate_limited", (2, 0)));
    });
}
