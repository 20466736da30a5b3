# Supervision by runit, one `runsv` for each process. Sourced by demo.
# A process is named KEY = name-instance; its directory is $RUN/KEY ($DATA_DIR/run), its log $DATA_DIR/log/KEY/current.
# shellcheck shell=bash

is_supervised() { # is_supervised KEY: has it a living runsv (which holds this lock)?
    [ -e "$RUN/$1/supervise/lock" ] && ! flock -n "$RUN/$1/supervise/lock" true
}

# The processes at work in the directory of KEY and not in anybody's terminal: its own, also where their
# supervisor was killed and they live on (nginx's workers, say).
processes_of() { # processes_of KEY
    local cwd pid stat tty
    find /proc -mindepth 2 -maxdepth 2 -name cwd \( -lname "$RUN/$1" -o -lname "$RUN/$1/*" \) 2>/dev/null | while read -r cwd; do
        pid=${cwd//[!0-9]/}
        stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
        read -r _ _ _ _ tty _ <<<"${stat##*) }"
        if [ "$tty" = 0 ]; then echo "$pid"; fi
    done
    return 0
}

kill_leftovers() { # kill_leftovers KEY: only where it has no supervisor
    local left
    left=$(processes_of "$1")
    [ -z "$left" ] || xargs kill -KILL <<<"$left" 2>/dev/null || true
}

# Writes an executable for its owner alone (settings have passwords) from standard input, by one rename. Fails where it
# is there as it is.
write_script() { # write_script FILE
    local text
    text=$(cat)
    [ ! -e "$1" ] || [ "$(cat "$1")" != "$text" ] || return 1
    (umask 077 && printf '%s\n' "$text" >"$1.new" && chmod 700 "$1.new")
    mv "$1.new" "$1"
}

# Writes the directory of KEY; its `run` script comes on standard input
# (the end of it, that is: the beginning is the same for all). Fails where nothing changed.
define_process() { # define_process KEY
    local dir=$RUN/$1 changed=1
    mkdir -p "$dir/log" "$DATA_DIR/log/$1"
    { printf '#!/bin/sh\nexec 2>&1\necho $$ >group\n' && cat; } | write_script "$dir/run" && changed=0
    write_script "$dir/finish" <<'END' || true
#!/bin/sh
# $1: exit code, -1 for a signal; $2: the signal. Killed, or restarting itself (75): again at once.
# A start that cannot succeed (78), an identity in use elsewhere (77): later.
# What it leaves behind (nginx's workers, when their master is killed) still holds its ports.
echo "$1 $2" >exit
read -r group <group && kill -KILL "-$group" 2>/dev/null
case $1 in
    -1 | 0 | 75) ;;
    77) exec sleep 3 ;;
    78) exec sleep 10 ;;
    *) exec sleep 1 ;;
esac
END
    printf '#!/bin/sh\nexec svlogd -tt %q\n' "$DATA_DIR/log/$1" | write_script "$dir/log/run" || true
    printf 's4000000\nn3\n' >"$DATA_DIR/log/$1/config"
    return $changed
}

start_process() { # start_process KEY: returns at once
    local dir=$RUN/$1
    rm -f "$dir/down"
    if is_supervised "$1"; then
        sv up "$dir" >/dev/null
        return
    fi
    rm -f "$dir/exit"
    # LOCK_FD must not live on in what we leave behind, and what else this shell has is no setting of a process.
    (cd "$dir" && exec env -i PATH="$PATH" ${LANG+LANG="$LANG"} ${TZ+TZ="$TZ"} setsid runsv . \
        {LOCK_FD}>&- </dev/null >/dev/null 2>>"$DATA_DIR/log/$1/supervisor") &
    disown
}


# What the supervisor says: run, down (and meant to be), finish (backing off after a failure), pause (before it
# restarts what lived for less than a second), or nothing.
supervised_state() { # supervised_state KEY
    local stat
    is_supervised "$1" || return 0
    read -r stat <"$RUN/$1/supervise/stat" || return 0
    # The file says what is meant: stat does not.
    if [ "$stat" = down ] && [ ! -e "$RUN/$1/down" ]; then echo pause; else echo "${stat%%,*}"; fi
}

process_id() { # process_id KEY: of the running process, else nothing
    local pid
    [ "$(supervised_state "$1")" = run ] && read -r pid <"$RUN/$1/supervise/pid" && echo "$pid"
    return 0
}

# A process that backs off before its next start wakes up.
end_backoff() { # end_backoff KEY
    local pid
    [ "$(supervised_state "$1")" = finish ] && read -r pid <"$RUN/$1/supervise/pid" && kill "$pid" 2>/dev/null
    return 0
}

# Runs until the processes have stopped and their supervisors too; those that take longer than SECONDS are killed.
end_processes() { # end_processes SECONDS KEY…
    local deadline=$((SECONDS + $1)) key
    shift
    for key; do
        is_supervised "$key" && sv exit "$RUN/$key" >/dev/null
        end_backoff "$key"
    done
    for key; do
        while is_supervised "$key"; do
            [ $SECONDS -lt $deadline ] || { sv kill "$RUN/$key" >/dev/null || true; }
            [ $SECONDS -lt $((deadline + 3)) ] || break
            sleep 0.05
        done
        kill_leftovers "$key"
    done
}

# Stops and keeps stopped, over a second `up` too; killed after SECONDS.
stop_process() { # stop_process KEY SECONDS
    local deadline=$((SECONDS + $2))
    touch "$RUN/$1/down"
    is_supervised "$1" || return 0
    sv down "$RUN/$1" >/dev/null
    end_backoff "$1"
    until [ "$(cat "$RUN/$1/supervise/stat")" = down ]; do
        [ $SECONDS -lt $deadline ] || sv kill "$RUN/$1" >/dev/null || true
        sleep 0.02
    done
}

restart_process() { # restart_process KEY
    stop_process "$1" 15
    start_process "$1"
}

last_line() { # last_line KEY: of its log, without the time; the message where the line is JSON
    local line
    line=$(tail -n 1 "$DATA_DIR/log/$1/current" 2>/dev/null | cut -d ' ' -f 2-)
    jq -er .message <<<"$line" 2>/dev/null || echo "$line"
}
