# the three calls of the article
http POST localhost:8001/services name=openidconnect url=http://httpbin.org/anything
http POST localhost:8001/services/openidconnect/routes name=openidconnectRoute paths=/oidc -f

http -f localhost:8001/routes/openidconnectRoute/plugins \
   name=openid-connect \
   config.issuer=https://keycloak.apim.eu/auth/realms/kong/.well-known/openid-configuration \
   config.client_id=blog_post \
   config.client_secret=a5186adc-b5e2-4501-85a8-eb19a5e1a2a3 \
   config.ssl_verify=false \
   config.consumer_claim=email \
   config.verify_signature=false \
   config.redirect_uri=http://localhost:8000/oidc \
   config.consumer_optional=true \
   config.scopes_required=kong_api_access
