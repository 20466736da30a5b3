# The workshop's exercises; workshop/lab.py says more. Sourced by demo.
# shellcheck shell=bash

command_lab() {
    case ${1-} in
    refactoring) lab_refactoring "${@:2}" ;;
    integration) lab_integration "${@:2}" ;;
    esac
    [ -n "$LAB_DIR" ] || LAB_DIR=$HOME/insideout-lab
    case $LAB_DIR/ in "$ROOT"/*) die "LAB_DIR is $LAB_DIR: what you write belongs outside of the repository" ;; esac
    [ "${1-}" != ready ] || lab_ready
    case " $* " in "  " | *" --help "* | *" --hint "* | *" --solution "* | *" --reset "*) ;; *) build "$BUILD" workshop_checks ;; esac
    export LAB_DIR BUILD_DIR
    look_from_outside
    exec python3 -B "$ROOT/workshop/lab.py" "$@"
}
