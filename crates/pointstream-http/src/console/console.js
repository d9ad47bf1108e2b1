document.body.textContent = "pointstream";
