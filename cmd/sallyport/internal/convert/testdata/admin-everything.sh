#!/bin/sh
# What else people write. Numbers and booleans of a form have the schema's type.
set -eu
curl -i -X POST http://localhost:8001/services --data name=orders --data 'url=http://orders.internal:8080/v1' -d connect_timeout=5000
curl -sX POST http://localhost:8001/services/orders/routes \
    -d 'name=orders' -d 'paths[]=/orders' -d 'paths[]=/o' -d "methods=GET,POST" -d strip_path=false \
    -d 'headers.x-version=2' > /dev/null 2>&1
curl -s -X POST localhost:8001/team-a/routes/orders/plugins --data-urlencode 'name=jwt' -d 'config.claims_to_verify[1]=exp' \
    -d config.maximum_expiration=3600 -d config.run_on_preflight=false | jq .
$ http --form POST :8001/routes/orders/plugins name=acl config.allow[]=buyers config.allow[]="gold customers" config.hide_groups_header=true
http POST :8001/consumers username=alice custom_id=4711 tags:='["a"]'
http -f POST :8001/consumers/alice/jwt key=alice secret=$ALICE_SECRET algorithm=HS256
http -f POST :8001/consumers/alice/acls group=buyers
curl -d key=the-key-of-alice-is-long -d ttl=60 localhost:8001/consumers/alice/key-auth
curl -d username=alice --data-urlencode 'password=in wonder&land' localhost:8001/consumers/alice/basic-auth
http -f POST :8001/services/orders/plugins name=key-auth config.key_names=apikey config.key_in_query=false
curl http://localhost:8001/services/orders
curl -X POST http://localhost:8001/services -H 'Content-Type: application/json' -d '{"name": "open", "host": "open.internal", "port": 80,
  "tags": ["x"]}'
http POST $ADMIN/services/open/routes name=open paths:='["/open"]'
http PATCH :8001/services/open read_timeout:=1000
http -f POST :8001/services/open/plugins name=rate-limiting config.minute=5 config.policy=local
http -f POST :8001/upstreams name=pool algorithm=least-connections
http -f POST :8001/upstreams/pool/targets target=10.0.0.1:80 weight=10
http -f PUT :8001/services/pooled host=pool
http -f POST :8001/services/pooled/routes hosts=pooled.example
http -f POST :8001/services name=gone host=gone.internal && http -f POST :8001/services/gone/routes name=gone paths=/gone
http DELETE :8001/services/gone
http -f POST :8001/licenses payload=x
