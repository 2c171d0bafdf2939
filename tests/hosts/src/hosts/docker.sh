# Makes an image nginx:latest of this machine's nginx, with the libraries that it loads.
root=/tmp/nginx
mkdir -p $root/etc $root/tmp $root/bin
cp "$(which busybox)" $root/bin/cat
cp --parents --dereference /usr/sbin/nginx $(ldd /usr/sbin/nginx | grep -o '/[^ ]*') $root
echo root:x:0:0:root:/:/bin/sh >$root/etc/passwd
echo root:x:0: >$root/etc/group
# The web server passes requests on to the application.
cat >$root/nginx.conf <<'EOF'
user root; daemon off; pid /tmp/pid; error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/client; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server { listen 80; location / { proxy_pass http://127.0.0.1:2368; } }
}
EOF
tar -c -C $root . | docker import -c 'CMD ["/usr/sbin/nginx","-c","/nginx.conf"]' - nginx:latest
