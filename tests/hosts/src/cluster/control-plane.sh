# Prepares the node and starts Kubernetes' control plane, with logs in /tmp. Argument: the directory of its programs.
set -e
address=10.98.0.1 # must not be a loopback address

# The kubelet changes these kernel settings for the whole machine:
# https://github.com/kubernetes/kubernetes/blob/v1.36.0/staging/src/k8s.io/component-helpers/node/util/sysctl/sysctl.go
# It finds private files with its values instead.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=$(mktemp --tmpdir=/run)
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done
# Unless there is a proc file system with nothing mounted over it, a container in a user namespace can't mount proc:
# mnt_already_visible in https://github.com/torvalds/linux/blob/v6.12/fs/namespace.c
mkdir /run/proc
mount -t proc proc /run/proc

ip link add node type bridge
ip addr add $address/24 dev node
ip link set node up
mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/pods.conflist <<'EOF'
{
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [{ "type": "bridge", "bridge": "pods", "ipam": { "type": "host-local", "subnet": "10.99.0.0/24" } }]
}
EOF

etcd --data-dir /tmp/etcd --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 >/tmp/etcd.log 2>&1 &

openssl genrsa -out /tmp/accounts.key 2048 2>/dev/null
echo administrator,administrator,administrator,system:masters >/tmp/tokens.csv
"$1/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --advertise-address $address --bind-address $address \
    --cert-dir /tmp/server --token-auth-file /tmp/tokens.csv --authorization-mode RBAC \
    --service-cluster-ip-range 10.97.0.0/24 --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file /tmp/accounts.key --service-account-signing-key-file /tmp/accounts.key \
    --kubelet-preferred-address-types InternalIP >/tmp/kube-apiserver.log 2>&1 &

# The server makes its own certificate, and puts the certificate of the authority in the same file.
kubectl config set-cluster cluster --server https://$address:6443 --certificate-authority /tmp/server/apiserver.crt
kubectl config set-credentials administrator --token administrator
kubectl config set-context cluster --cluster cluster --user administrator
kubectl config use-context cluster
timeout 60 sh -c 'until kubectl get --raw /readyz; do sleep 0.2; done' >/dev/null 2>&1 || {
    tail -n 5 /tmp/etcd.log /tmp/kube-apiserver.log >&2
    exit 1
}

"$1/kube-controller-manager" --kubeconfig "$KUBECONFIG" --leader-elect=false --kube-api-qps 200 --kube-api-burst 400 \
    --root-ca-file /tmp/server/apiserver.crt --service-account-private-key-file /tmp/accounts.key \
    --use-service-account-credentials=false >/tmp/kube-controller-manager.log 2>&1 &
"$1/kube-scheduler" --kubeconfig "$KUBECONFIG" --leader-elect=false --kube-api-qps 200 --kube-api-burst 400 \
    >/tmp/kube-scheduler.log 2>&1 &
