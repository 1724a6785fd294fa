#!/bin/sh
# Sets up, builds and runs the tests: all of them in the release build, then programs in C, commands
# and mutated texts under the sanitizers. The last line counts; the exit code is 1 if one failed.
set -u
cd "$(dirname "$0")/.." || exit 1
scripts/setup.sh || exit 1

passed=0 failed=0 skipped=0
count() { # count PRESET FOLDER: adds up a run, and says why tests were skipped
    xml=$2/tests.xml
    if [ ! -s "$xml" ]; then
        failed=$((failed + 1))
        return
    fi
    all=$(grep -c '<testcase name=' "$xml")
    good=$(grep -c '<testcase name=.* status="run"' "$xml")
    not=$(grep -c '<skipped message="SKIP_RETURN_CODE=' "$xml")
    passed=$((passed + good))
    skipped=$((skipped + not))
    failed=$((failed + all - good - not))
    awk -v preset="$1" '/<testcase name=/ { split($0, part, "\""); name = part[2] }
        /SKIP: / { sub(/.*SKIP: /, ""); sub(/<.*/, ""); print preset ": " name " skipped: " $0 }' "$xml"
}

run() { # run PRESET FOLDER
    mkdir -p "$2"
    rm -f "$2/tests.xml"
    if cmake --preset "$1" >"$2/configure.log" 2>&1; then
        if cmake --build --preset "$1"; then
            ctest --preset "$1" -j "$(nproc)" --output-junit tests.xml
        else
            echo "$1: does not build"
        fi
    else
        cat "$2/configure.log"
        echo "$1: cannot be configured"
    fi
    count "$1" "$2"
}

run release build
run dev build-dev
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
