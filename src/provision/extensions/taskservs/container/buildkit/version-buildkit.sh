version=$(buildkitd --version | awk '{ print $3 }')
printf '%s\n' "${version#v}"
