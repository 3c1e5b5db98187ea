//! Where machines are reached whose provider doesn't list it.

use super::*;

impl Sample {
    fn of_silent_lists(fates: &[Fate]) -> Self {
        let sample = Self::of(Hostile::with(fates, false));
        sample.hostile.0.lock().unwrap().tells_none = true;
        sample
    }

    fn asked(&self) -> u32 {
        self.hostile.0.lock().unwrap().asked
    }

    /// The address that the list shows.
    fn listed(&self) -> Option<String> {
        std::thread::sleep(2 * LAG);
        self.cloud().list(&spec(1).infra).unwrap().remove(0).address
    }
}

#[test]
fn an_address_is_asked_for_by_who_goes_there_and_remembered_for_lists() {
    let sample = Sample::of_silent_lists(&[]);
    let (infra, name) = (spec(1).infra, spec(1).name);
    sample.cloud().create(&spec(1)).unwrap();
    let first = Some("10.0.0.1".to_owned());
    assert_eq!((sample.listed(), sample.asked()), (first, 0), "the answer to the order told it");
    sample.hostile.0.lock().unwrap().machines.get_mut("m1").unwrap().0.address = Some("10.0.0.2".to_owned());
    sample.cloud().transport(&infra, &name).unwrap();
    assert_eq!(sample.asked(), 1, "whoever goes there asks");
    let second = Some("10.0.0.2".to_owned());
    assert_eq!(sample.cloud().wait_ready(&infra, &name, Duration::from_secs(5)).unwrap().address, second);
    assert_eq!((sample.listed(), sample.asked()), (second, 2));
}

#[test]
fn an_address_that_nobody_was_told_is_asked_for() {
    let sample = Sample::of_silent_lists(&[Fate::Well, Fate::LostReply]);
    sample.cloud().create(&spec(1)).unwrap();
    assert_eq!(sample.listed().as_deref(), Some("10.0.0.1"));
    assert!(sample.asked() > 0);
    let elsewhere = Sample::of(sample.hostile.clone());
    let strays = elsewhere.cloud().strays(&spec(1).infra).unwrap();
    assert_eq!(elsewhere.cloud().adopt(&strays[0]).unwrap().address.as_deref(), Some("10.0.0.1"));
    let asked = sample.asked();
    assert_eq!((elsewhere.listed().as_deref(), sample.asked()), (Some("10.0.0.1"), asked));
}
