# step WHAT COMMAND...: one line that says what is done and how long it took. What the command prints is shown only if
# it fails.
step() {
  local what=$1 start=$SECONDS log code=0
  shift
  log=$(mktemp)
  printf '%s ... ' "$what"
  "$@" >"$log" 2>&1 </dev/null || code=$?
  if ((code)); then
    printf 'failed after %s s: %s\n' "$((SECONDS - start))" "$*"
    cat "$log"
  else
    printf '%s s\n' "$((SECONDS - start))"
  fi
  rm -f "$log"
  return "$code"
}
