#!/bin/sh
# Sets up, builds and runs every test: all of them in the release build, then those in C, the commands
# and the mutations of texts under the sanitizers. The last line counts; it says so when one failed.
set -u
cd "$(dirname "$0")/.." || exit 1
scripts/setup.sh || exit 1

passed=0 failed=0 skipped=0
report() { # report PRESET FOLDER: adds the counts of a run, repeats why tests were skipped
    xml=$2/tests.xml
    attribute() { sed -n "s/.*<testsuite.*//; s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p" "$xml" | head -n 1; }
    if [ ! -s "$xml" ]; then
        echo "$1: the tests did not run"
        failed=$((failed + 1))
        return
    fi
    all=$(attribute tests) bad=$(attribute failures) not=$(attribute skipped)
    passed=$((passed + all - bad - not))
    failed=$((failed + bad))
    skipped=$((skipped + not))
    [ "$not" -eq 0 ] || {
        echo "$1: skipped:"
        awk '/<testcase name=/ {split($0, part, "\""); name = part[2]}
             /SKIP: / {sub(/.*SKIP: /, ""); print "  " name ": " $0}' "$xml"
    }
}

run() { # run PRESET FOLDER
    rm -f "$2/tests.xml"
    if cmake --preset "$1" >"$2.log" 2>&1 && cmake --build --preset "$1"; then
        ctest --preset "$1" -j "$(nproc)" --output-junit tests.xml
    else
        tail -n 40 "$2.log"
        echo "$1: does not build"
    fi
    report "$1" "$2"
}

run release build
run dev build-dev
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
