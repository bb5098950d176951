//! Labels that do not overlap.

/// Moves `places` apart, as little as possible in sum of squares, until neighbours are `gap` apart, and into `low..=high` as far
/// as there is room. Places keep their order.
pub(crate) fn spread(places: &[f64], gap: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<_> = (0..places.len()).collect();
    order.sort_by(|&one, &other| places[one].total_cmp(&places[other]));
    // Runs of labels that touch: where the first one wants to be on average, and how many they are.
    let mut runs: Vec<(f64, usize)> = Vec::new();
    for &index in &order {
        let mut run = (places[index], 1);
        while let Some(&(start, count)) = runs.last()
            && clamp(start, count, gap, (low, high)) + count as f64 * gap
                > clamp(run.0, run.1, gap, (low, high))
        {
            runs.pop();
            let (ours, theirs) = (run.1 as f64, count as f64);
            // Each of the later ones wants its first to be so much higher as there are labels before it.
            let wish = (start * theirs + (run.0 - theirs * gap) * ours) / (theirs + ours);
            run = (wish, count + run.1);
        }
        runs.push(run);
    }
    let spread = runs.iter().flat_map(|&(start, count)| {
        let start = clamp(start, count, gap, (low, high));
        (0..count).map(move |index| start + index as f64 * gap)
    });
    let mut moved = vec![0.0; places.len()];
    order.iter().zip(spread).for_each(|(&index, place)| moved[index] = place);
    moved
}

/// The start of a run that lies between the bounds; at least it begins there.
fn clamp(start: f64, count: usize, gap: f64, (low, high): (f64, f64)) -> f64 {
    start.min(high - (count - 1) as f64 * gap).max(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_have_room_stay() {
        assert_eq!(spread(&[30.0, 10.0, 50.0], 12.0, (0.0, 100.0)), [30.0, 10.0, 50.0]);
    }

    #[test]
    fn labels_move_apart_by_as_little_as_possible() {
        assert_eq!(spread(&[50.0, 50.0], 12.0, (0.0, 100.0)), [44.0, 56.0]);
        assert_eq!(spread(&[50.0, 51.0, 20.0], 12.0, (0.0, 100.0)), [44.5, 56.5, 20.0]);
        // A run that grows meets the one before it.
        assert_eq!(spread(&[40.0, 50.0, 50.0], 12.0, (0.0, 100.0))[0], 104.0 / 3.0);
    }

    #[test]
    fn labels_stay_in_the_picture() {
        assert_eq!(spread(&[98.0, 99.0, 99.5], 10.0, (0.0, 100.0)), [80.0, 90.0, 100.0]);
        assert_eq!(spread(&[1.0, 2.0], 10.0, (0.0, 100.0)), [0.0, 10.0]);
        for places in [vec![85.0, 99.0, 99.5], (0..8).map(|n| f64::from(n * n)).collect::<Vec<_>>()]
        {
            let mut moved = spread(&places, 10.0, (0.0, 100.0));
            moved.sort_by(f64::total_cmp);
            assert!(moved.windows(2).all(|pair| pair[1] - pair[0] >= 10.0 - 1e-9), "{moved:?}");
            assert!(moved.iter().all(|place| (0.0..=100.0).contains(place)), "{moved:?}");
        }
    }
}
