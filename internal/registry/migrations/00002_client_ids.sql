-- +goose Up

-- Whether a user name is an application's client id, whatever the case of its letters.
CREATE INDEX consumers_custom_id_fold ON consumers (LOWER(custom_id));
