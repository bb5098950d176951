"""What `multiprocessing` takes for a case of benches/pool.rs.

The case is in the arguments: its name, then numbers. Each line of standard input says how many times to do it, and is
answered with the nanoseconds that this took. The end of the input ends the program.
"""

import multiprocessing
import sys
import time


def square(number):
    return number * number


def map_numbers(workers, tasks, chunk_size):
    """Squares of the first `tasks` numbers; a chunk size of 0 leaves it to the pool."""
    pool = multiprocessing.Pool(workers)
    expected = [number * number for number in range(tasks)]

    def run():
        assert pool.map(square, range(tasks), chunk_size or None) == expected

    # The comparison above is done once: it is no part of what a map costs.
    run()
    return lambda: pool.map(square, range(tasks), chunk_size or None)


def map_bytes(workers, items, length):
    """The lengths of `items` byte strings."""
    pool = multiprocessing.Pool(workers)
    strings = [b"\7" * length for _ in range(items)]
    return lambda: pool.map(len, strings)


def walk(steps):
    """Steps of which each needs the one before."""
    place = 1
    for step in range(steps):
        place = (place ^ step) * 0x5851F42D4C957F2D & 0xFFFFFFFFFFFFFFFF
    return place


def map_walks(workers, tasks, micros):
    """Tasks that take so many microseconds of one core each."""
    steps = 20_000

    def measure():
        start = time.perf_counter()
        walk(steps)
        return time.perf_counter() - start

    per_micro = steps / (min(measure() for _ in range(20)) * 1e6)
    pool = multiprocessing.Pool(workers)
    work = [round(micros * per_micro)] * tasks
    return lambda: pool.map(walk, work)


def one_at_a_time(workers):
    """One task is submitted, and its result waited for."""
    pool = multiprocessing.Pool(workers)
    return lambda: pool.apply_async(square, (7,)).get()


def short_life(workers):
    """A pool is made, gives each worker a task, and ends."""

    def run():
        with multiprocessing.Pool(workers) as pool:
            results = [pool.apply_async(square, (number,)) for number in range(workers)]
            for result in results:
                result.get()
            pool.close()
            pool.join()

    return run


CASES = {case.__name__: case for case in (map_numbers, map_bytes, map_walks, one_at_a_time, short_life)}


def main():
    run = CASES[sys.argv[1]](*map(int, sys.argv[2:]))
    for line in sys.stdin:
        start = time.perf_counter_ns()
        for _ in range(int(line)):
            run()
        print(time.perf_counter_ns() - start, flush=True)


if __name__ == "__main__":
    main()
