version=$(kubeadm version --output short)
printf '%s\n' "${version#v}"
