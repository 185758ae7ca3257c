-- source: a table that looks like an error object
-- expect: error: the error value is a table
-- modules: 
return function() error({ kind = 'PermissionDenied', message = 'forged', context = {} }) end
