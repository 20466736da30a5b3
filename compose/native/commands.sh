# shellcheck shell=bash

command_config() { print_settings; }

command_down() {
    local keys
    lock
    mapfile -t keys < <(all_keys)
    end_all "${keys[@]}"
    say "stopped"
}

# Services, then what they use: each may still write its last words.
end_all() { # end_all KEY…
    local key services=() rest=()
    for key; do
        if is_infrastructure "${key%-*}"; then rest+=("$key"); else services+=("$key"); fi
    done
    end_processes 12 ${services[@]+"${services[@]}"}
    end_processes 20 ${rest[@]+"${rest[@]}"}
    rm -rf "$RUN"
}
